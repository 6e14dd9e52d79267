use std::fmt::Write;

use super::escaped;

/// The size of a plot, in pixels, and the room around it for numbers.
const SIZE: (f64, f64) = (420.0, 260.0);
const MARGIN: f64 = 44.0;
const COLOURS: [&str; 3] = ["#1c6dd0", "#c2410c", "#15803d"];

/// A line of a plot.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// What it shows.
    pub name: &'a str,
    /// Its points from left to right: across and up.
    pub points: Vec<(f64, f64)>,
}

/// Lines in one picture, an SVG. `across` and `up` say what the axes are, which begin at 0 and end at the largest value.
pub fn plot(across: &str, up: &str, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN_POSITIVE, f64::max);
    let ends = (largest(&mut points().map(|it| it.0)), largest(&mut points().map(|it| it.1)));
    let mut canvas = Canvas::new(across, up, ends);
    for ((row, line), colour) in lines.iter().enumerate().zip(COLOURS.iter().cycle()) {
        canvas.line(row, line, colour);
    }
    canvas.finish()
}

/// An SVG with two axes, which begin at 0.
#[derive(Debug)]
pub(super) struct Canvas {
    svg: String,
    /// Where the axes end.
    ends: (f64, f64),
}

impl Canvas {
    pub(super) fn new(across: &str, up: &str, ends: (f64, f64)) -> Self {
        let (width, height) = SIZE;
        let (left, bottom, end) = (MARGIN, height - MARGIN, width - MARGIN);
        let (across, up) = (escaped(across), escaped(up));
        let mut canvas = Self { svg: String::new(), ends };
        canvas.draw(format_args!(
            r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{up} by {across}">"#
        ));
        canvas.draw(format_args!(r#"<path class="axis" d="M{left} {MARGIN}V{bottom}H{end}"/>"#));
        for (x, y, anchor, text) in [
            (left - 4.0, bottom, "end", "0".to_owned()),
            (left - 4.0, MARGIN + 4.0, "end", number(ends.1)),
            (end, bottom + 14.0, "end", number(ends.0)),
            (width / 2.0, height - 8.0, "middle", across),
            (left, MARGIN - 12.0, "start", up),
        ] {
            canvas.draw(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
        }
        canvas
    }

    /// Where a point is, in pixels.
    pub(super) fn place(&self, (across, up): (f64, f64)) -> (f64, f64) {
        let (width, height) = SIZE;
        (
            MARGIN + across / self.ends.0 * (width - 2.0 * MARGIN),
            height - MARGIN - up / self.ends.1 * (height - 2.0 * MARGIN),
        )
    }

    pub(super) fn draw(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a text can't fail.
        let _ = self.svg.write_fmt(element);
    }

    /// With its name in this row of names.
    fn line(&mut self, row: usize, line: &Line<'_>, colour: &str) {
        let points = line.points.iter().map(|point| {
            let (x, y) = self.place(*point);
            format!("{x:.1},{y:.1}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        let (x, y) = (SIZE.0 - MARGIN, MARGIN + 6.0 + 14.0 * row as f64);
        let name = escaped(line.name);
        self.draw(format_args!(r#"<polyline points="{points}" stroke="{colour}"/>"#));
        self.draw(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end" fill="{colour}">{name}</text>"#
        ));
    }

    pub(super) fn finish(self) -> String {
        self.svg + "</svg>"
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { format!("{value:.3}") }
}
