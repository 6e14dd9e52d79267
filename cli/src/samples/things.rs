use std::f32::consts::TAU;

use super::draw::{Canvas, Colour, Point};

type Draw = fn(&mut Canvas);

/// What is drawn, by name.
pub(super) const THINGS: [(&str, Draw); 5] =
    [("shoe", shoe), ("handbag", handbag), ("shirt", shirt), ("top", top), ("watch", watch)];

const CLOTH: [Colour; 5] =
    [[70., 100., 160.], [170., 60., 70.], [60., 120., 90.], [215., 205., 190.], [60., 60., 80.]];
const LEATHER: [Colour; 4] = [[120., 70., 40.], [40., 35., 35.], [150., 40., 50.], [190., 150., 100.]];
const METAL: Colour = [190., 190., 200.];
const WHITE: Colour = [245., 245., 245.];
const DARK: Colour = [35., 35., 40.];

fn darker(colour: Colour, by: f32) -> Colour {
    colour.map(|value| value * by)
}

fn mirrored(half: &[Point]) -> Vec<Point> {
    half.iter().copied().chain(half.iter().rev().map(|(x, y)| (1.0 - x, *y))).collect()
}

fn watch(canvas: &mut Canvas) {
    let (strap, face) = (canvas.pick(&LEATHER), canvas.pick(&[WHITE, DARK, [40., 60., 110.]]));
    canvas.polygon(&mirrored(&[(0.5, 0.04), (0.41, 0.05), (0.38, 0.34), (0.5, 0.34)]), strap);
    canvas.polygon(&mirrored(&[(0.5, 0.66), (0.38, 0.66), (0.41, 0.96), (0.5, 0.97)]), strap);
    for hole in 0..5 {
        canvas.ellipse((0.5, 0.8 + 0.03 * hole as f32), (0.008, 0.006), darker(strap, 0.4));
    }
    canvas.line((0.76, 0.5), (0.79, 0.5), 0.04, METAL);
    canvas.ellipse((0.5, 0.5), (0.27, 0.2025), darker(METAL, 0.75));
    canvas.ellipse((0.5, 0.5), (0.255, 0.191), METAL);
    canvas.ellipse((0.5, 0.5), (0.215, 0.161), face);
    let marks = if face[0] > 128. { DARK } else { WHITE };
    let around = |turn: f32, far: f32| (0.5 + far * turn.sin(), 0.5 - 0.75 * far * turn.cos());
    for hour in 0..12 {
        let turn = hour as f32 * TAU / 12.0;
        canvas.line(around(turn, 0.175), around(turn, 0.2), 0.012, marks);
    }
    let (hour, minute) = (canvas.random(0.0, TAU), canvas.random(0.0, TAU));
    canvas.line((0.5, 0.5), around(hour, 0.1), 0.016, marks);
    canvas.line((0.5, 0.5), around(minute, 0.16), 0.01, marks);
    canvas.ellipse((0.5, 0.5), (0.014, 0.0105), METAL);
}

fn handbag(canvas: &mut Canvas) {
    let leather = canvas.pick(&LEATHER);
    let paper = [250., 250., 250.];
    canvas.ellipse((0.5, 0.36), (0.22, 0.22), darker(leather, 0.8));
    canvas.ellipse((0.5, 0.37), (0.185, 0.19), paper);
    let low = canvas.random(0.04, 0.08);
    canvas.polygon(
        &mirrored(&[(0.5, 0.4), (0.2, 0.4), (0.16, 0.43), (low, 0.8), (low + 0.03, 0.84), (0.5, 0.84)]),
        leather,
    );
    canvas.polygon(
        &mirrored(&[(0.5, 0.4), (0.2, 0.4), (0.16, 0.43), (0.22, 0.58), (0.5, 0.61)]),
        darker(leather, 0.85),
    );
    canvas.line((0.12, 0.8), (0.88, 0.8), 0.008, darker(leather, 0.6));
    for side in [0.3, 0.7] {
        canvas.ellipse((side, 0.44), (0.025, 0.019), METAL);
    }
    canvas.polygon(&[(0.46, 0.58), (0.54, 0.58), (0.54, 0.64), (0.46, 0.64)], METAL);
}

fn shirt(canvas: &mut Canvas) {
    let cloth = canvas.pick(&CLOTH);
    let body = [
        (0.5, 0.1),
        (0.39, 0.08),
        (0.22, 0.15),
        (0.13, 0.36),
        (0.06, 0.72),
        (0.16, 0.74),
        (0.25, 0.45),
        (0.26, 0.93),
        (0.5, 0.95),
    ];
    canvas.polygon(&mirrored(&body), cloth);
    let seam = darker(cloth, 0.75);
    for side in [1.0, -1.0] {
        canvas.line((0.5 - side * 0.25, 0.2), (0.5 - side * 0.25, 0.5), 0.006, seam);
        canvas.line((0.5 - side * 0.44, 0.7), (0.5 - side * 0.34, 0.72), 0.008, seam);
        let collar =
            [(0.5, 0.17), (0.5 - side * 0.12, 0.06), (0.5 - side * 0.14, 0.11), (0.5 - side * 0.07, 0.2)];
        canvas.polygon(&collar, darker(cloth, 0.88));
    }
    canvas.polygon(&[(0.5, 0.16), (0.42, 0.07), (0.58, 0.07)], darker(cloth, 0.5));
    canvas.line((0.48, 0.18), (0.48, 0.94), 0.005, seam);
    canvas.line((0.53, 0.18), (0.53, 0.94), 0.005, seam);
    for button in 0..7 {
        canvas.ellipse((0.505, 0.22 + 0.105 * button as f32), (0.011, 0.008), WHITE);
    }
    canvas
        .polygon(&[(0.6, 0.33), (0.71, 0.33), (0.71, 0.44), (0.655, 0.46), (0.6, 0.44)], darker(cloth, 0.92));
}

fn top(canvas: &mut Canvas) {
    let cloth = canvas.pick(&[
        [220., 90., 120.],
        [240., 200., 80.],
        [90., 170., 170.],
        [240., 240., 235.],
        [30., 30., 35.],
    ]);
    let flare = canvas.random(0.14, 0.2);
    let body = [
        (0.5, 0.27),
        (0.39, 0.24),
        (0.34, 0.08),
        (0.29, 0.08),
        (0.28, 0.26),
        (0.24, 0.36),
        (0.26, 0.55),
        (flare, 0.9),
        (0.5, 0.93),
    ];
    canvas.polygon(&mirrored(&body), cloth);
    let fold = darker(cloth, 0.85);
    canvas.line((0.27, 0.55), (0.73, 0.55), 0.012, fold);
    for fold_number in 0..6 {
        let x = 0.3 + 0.08 * fold_number as f32;
        canvas.line((x, 0.58), (x + (x - 0.5) * 0.4, 0.88), 0.005, fold);
    }
}

fn shoe(canvas: &mut Canvas) {
    let upper = canvas.pick(&CLOTH);
    canvas.polygon(
        &[(0.04, 0.6), (0.96, 0.6), (0.97, 0.645), (0.93, 0.665), (0.06, 0.665), (0.03, 0.64)],
        WHITE,
    );
    canvas.line((0.05, 0.655), (0.94, 0.655), 0.012, darker(WHITE, 0.7));
    let side = [
        (0.05, 0.61),
        (0.05, 0.5),
        (0.07, 0.4),
        (0.13, 0.375),
        (0.2, 0.4),
        (0.32, 0.395),
        (0.42, 0.37),
        (0.5, 0.41),
        (0.62, 0.48),
        (0.78, 0.505),
        (0.9, 0.53),
        (0.96, 0.575),
        (0.96, 0.61),
    ];
    canvas.polygon(&side, upper);
    canvas.polygon(
        &[(0.78, 0.505), (0.9, 0.53), (0.96, 0.575), (0.96, 0.61), (0.76, 0.61)],
        darker(upper, 0.8),
    );
    canvas.polygon(&[(0.05, 0.61), (0.05, 0.48), (0.13, 0.5), (0.15, 0.61)], darker(upper, 0.8));
    canvas.polygon(
        &[(0.07, 0.4), (0.13, 0.375), (0.2, 0.4), (0.32, 0.395), (0.42, 0.37), (0.3, 0.425)],
        darker(upper, 0.45),
    );
    for lace in 0..5 {
        let (x, y) = (0.46 + 0.055 * lace as f32, 0.41 + 0.021 * lace as f32);
        canvas.line((x, y), (x - 0.055, y + 0.05), 0.014, WHITE);
    }
    canvas.polygon(&[(0.2, 0.56), (0.42, 0.46), (0.46, 0.47), (0.26, 0.58)], WHITE);
}
