use super::plot::Canvas;
use crate::{Bin, Share};

/// A reliability diagram, an SVG (Guo et al. 2017): how often the model is right by how sure it is. A bar a bin is as high
/// as the share that is right, with its 95 % interval above the mean confidence, and has the number of photos at its foot.
/// Where confidence is what it says, the marks are on the broken line. Bins without photos have none of that.
pub fn reliability(bins: &[Bin]) -> String {
    let mut canvas = Canvas::new("confidence", "share that is right", (1.0, 1.0));
    let ends = bins.iter().skip(1).map(|bin| bin.from).chain([1.0]);
    for (bin, end) in bins.iter().zip(ends).filter(|(bin, _)| bin.photos > 0) {
        bar(&mut canvas, bin, end);
    }
    let ((left, bottom), (right, top)) = (canvas.place((0.0, 0.0)), canvas.place((1.0, 1.0)));
    canvas.draw(format_args!(r#"<path class="ideal" d="M{left:.1} {bottom:.1}L{right:.1} {top:.1}"/>"#));
    canvas.finish()
}

fn bar(canvas: &mut Canvas, bin: &Bin, end: f64) {
    let Bin { from, photos, confidence, accuracy } = *bin;
    let share = Share::of((accuracy * photos as f64).round() as usize, photos);
    let ((left, top), (right, foot)) = (canvas.place((from, accuracy)), canvas.place((end, 0.0)));
    let ((mean, mark), (_, low), (_, high)) = (
        canvas.place((confidence, accuracy)),
        canvas.place((confidence, share.low)),
        canvas.place((confidence, share.high)),
    );
    let (width, height, middle) = (right - left - 1.0, foot - top, (left + right) / 2.0);
    canvas.draw(format_args!(
        "<g><title>confidence {from:.3} to {end:.3}, on average {confidence:.3}; right, in per cent: {share}; photos: \
         {photos}</title>"
    ));
    canvas.draw(format_args!(
        r#"<rect class="bar" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/>"#
    ));
    canvas.draw(format_args!(r#"<path class="interval" d="M{mean:.1} {low:.1}V{high:.1}"/>"#));
    canvas.draw(format_args!(r#"<circle class="mean" cx="{mean:.1}" cy="{mark:.1}" r="3"/>"#));
    canvas.draw(format_args!(
        r#"<text class="count" x="{middle:.1}" y="{:.1}" text-anchor="middle">{photos}</text></g>"#,
        foot - 3.0
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_the_share_that_is_right_and_says_of_how_many() {
        let bin = |from, photos, confidence, accuracy| Bin { from, photos, confidence, accuracy };
        let svg = reliability(&[bin(0.0, 0, 0.0, 0.0), bin(0.5, 12, 0.7, 0.25), bin(0.75, 80, 0.9, 1.0)]);
        let canvas = Canvas::new("", "", (1.0, 1.0));
        assert_eq!(svg.matches("class=\"bar\"").count(), 2, "an empty bin has no bar: {svg}");
        for (from, end, confidence, accuracy, photos) in
            [(0.5, 0.75, 0.7, 0.25, 12), (0.75, 1.0, 0.9, 1.0, 80)]
        {
            let ((left, top), (right, foot)) = (canvas.place((from, accuracy)), canvas.place((end, 0.0)));
            let (width, height) = (right - left - 1.0, foot - top);
            let bar = format!(r#"x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/>"#);
            assert!(svg.contains(&bar), "{bar}: {svg}");
            let (mean, _) = canvas.place((confidence, 0.0));
            assert!(svg.contains(&format!(r#"<circle class="mean" cx="{mean:.1}" cy="{top:.1}""#)), "{svg}");
            assert!(svg.contains(&format!(">{photos}</text>")), "{svg}");
        }
        assert!(svg.contains("right, in per cent: 25.0 (8.9–53.2); photos: 12"), "{svg}");
    }
}
