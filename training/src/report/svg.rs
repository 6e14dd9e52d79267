use std::fmt::Write;

/// The size of a plot, in pixels, and the room around it for numbers.
const SIZE: (f64, f64) = (420.0, 260.0);
const MARGIN: f64 = 44.0;
const COLOURS: [&str; 3] = ["#1c6dd0", "#c2410c", "#15803d"];

/// A line of a plot, of points from left to right.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines in one picture. `across` and `up` say what the axes are; the axis that goes up begins at 0.
pub(super) fn plot(across: &str, up: &str, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN_POSITIVE, f64::max);
    let (right, top) = (largest(&mut points().map(|it| it.0)), largest(&mut points().map(|it| it.1)));
    let (width, height) = SIZE;
    let place = |(x, y): (f64, f64)| {
        (MARGIN + x / right * (width - 2.0 * MARGIN), height - MARGIN - y / top * (height - 2.0 * MARGIN))
    };
    let mut svg = format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{up} by {across}">"#);
    let (left, bottom, end) = (MARGIN, height - MARGIN, width - MARGIN);
    // Writing to a text can't fail.
    let _ = write!(svg, r#"<path class="axis" d="M{left} {MARGIN}V{bottom}H{end}"/>"#);
    for (x, y, anchor, text) in [
        (left - 4.0, bottom, "end", "0".to_owned()),
        (left - 4.0, MARGIN + 4.0, "end", number(top)),
        (end, bottom + 14.0, "end", number(right)),
        (width / 2.0, height - 8.0, "middle", across.to_owned()),
        (left, MARGIN - 12.0, "start", up.to_owned()),
    ] {
        let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
    }
    for ((row, line), colour) in lines.iter().enumerate().zip(COLOURS.iter().cycle()) {
        let path: Vec<_> = line
            .points
            .iter()
            .map(|point| {
                let (x, y) = place(*point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = write!(svg, r#"<polyline points="{}" stroke="{colour}"/>"#, path.join(" "));
        let y = MARGIN + 6.0 + 14.0 * row as f64;
        let _ = write!(
            svg,
            r#"<text x="{end:.1}" y="{y:.1}" text-anchor="end" fill="{colour}">{}</text>"#,
            line.name
        );
    }
    svg + "</svg>"
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { format!("{value:.3}") }
}
