use image::{Rgb, RgbImage};

/// Pixels of a picture.
const WIDTH: u32 = 600;
const HEIGHT: u32 = 800;
/// Samples a pixel and direction: edges are smooth.
const SMOOTH: u32 = 2;

/// A point, in parts of the canvas: 0 to 1 from the left and from the top.
pub(super) type Point = (f32, f32);
pub(super) type Colour = [f32; 3];

/// A canvas with a thing's variations: each seed moves and colours it in another way.
#[derive(Debug)]
pub(super) struct Canvas {
    picture: RgbImage,
    state: u64,
    shift: Point,
    scale: f32,
}

impl Canvas {
    pub(super) fn new(seed: u64) -> Self {
        let paper = Rgb([250, 250, 250]);
        let picture = RgbImage::from_pixel(WIDTH, HEIGHT, paper);
        let mut canvas = Self { picture, state: seed, shift: (0.0, 0.0), scale: 1.0 };
        canvas.shift = (canvas.random(-0.02, 0.02), canvas.random(-0.02, 0.02));
        canvas.scale = canvas.random(0.92, 1.05);
        canvas
    }

    pub(super) fn finish(self) -> RgbImage {
        self.picture
    }

    /// A number within the range, another at each call: SplitMix64 (Steele et al. 2014).
    pub(super) fn random(&mut self, from: f32, to: f32) -> f32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (to - from) * ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// One of the colours.
    pub(super) fn pick(&mut self, colours: &[Colour]) -> Colour {
        let last = colours.len() - 1;
        colours[(self.random(0.0, colours.len() as f32) as usize).min(last)]
    }

    pub(super) fn polygon(&mut self, points: &[Point], colour: Colour) {
        let edges: Vec<_> = points.iter().copied().zip(points.iter().copied().cycle().skip(1)).collect();
        // Even-odd rule: inside is where a ray crosses an odd number of edges.
        let (xs, ys) = (points.iter().map(|point| point.0), points.iter().map(|point| point.1));
        let span = |values: &mut dyn Iterator<Item = f32>| {
            values.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (xs, ys) = (span(&mut { xs }), span(&mut { ys }));
        self.fill([(xs.0, ys.0), (xs.1, ys.1)], colour, |(x, y)| {
            let crosses = |&&((ax, ay), (bx, by)): &&(Point, Point)| {
                (ay > y) != (by > y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
            };
            edges.iter().filter(crosses).count() % 2 == 1
        });
    }

    pub(super) fn ellipse(&mut self, (cx, cy): Point, (rx, ry): Point, colour: Colour) {
        let corners = [(cx - rx, cy - ry), (cx + rx, cy + ry)];
        self.fill(corners, colour, |(x, y)| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0);
    }

    /// A line of this width, with round ends. Lengths are in parts of the canvas' width.
    pub(super) fn line(&mut self, (ax, ay): Point, (bx, by): Point, width: f32, colour: Colour) {
        let tall = HEIGHT as f32 / WIDTH as f32;
        let (dx, dy) = (bx - ax, (by - ay) * tall);
        let length = dx * dx + dy * dy;
        let half = width / 2.0;
        let corners = [(ax.min(bx) - half, ay.min(by) - half), (ax.max(bx) + half, ay.max(by) + half)];
        self.fill(corners, colour, |(x, y)| {
            let (px, py) = (x - ax, (y - ay) * tall);
            let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
            (px - along * dx).hypot(py - along * dy) <= half
        });
    }

    /// Colours what is inside, with a soft light from the upper left; all of it is within the corners.
    fn fill(&mut self, corners: [Point; 2], colour: Colour, inside: impl Fn(Point) -> bool) {
        let (shift, scale) = (self.shift, self.scale);
        let [(left, upper), (right, lower)] = corners.map(|(x, y)| {
            let at = |part: f32, shift: f32, size: u32| ((part - 0.5) * scale + shift + 0.5) * size as f32;
            (at(x, shift.0, WIDTH), at(y, shift.1, HEIGHT))
        });
        let range = |from: f32, to: f32, size: u32| {
            (from.floor().max(0.0) as u32)..(to.ceil().max(0.0) as u32 + 1).min(size)
        };
        let columns = range(left, right, WIDTH);
        let places =
            range(upper, lower, HEIGHT).flat_map(|row| columns.clone().map(move |column| (column, row)));
        for (column, row) in places {
            let pixel = self.picture.get_pixel_mut(column, row);
            let place = |sample: u32| {
                let at = |pixel: u32, part: u32, size: u32| {
                    (pixel as f32 + (part as f32 + 0.5) / SMOOTH as f32) / size as f32 - 0.5
                };
                let (x, y) = (at(column, sample % SMOOTH, WIDTH), at(row, sample / SMOOTH, HEIGHT));
                ((x - shift.0) / scale + 0.5, (y - shift.1) / scale + 0.5)
            };
            let hits = (0..SMOOTH * SMOOTH).filter(|sample| inside(place(*sample))).count();
            if hits == 0 {
                continue;
            }
            let cover = hits as f32 / (SMOOTH * SMOOTH) as f32;
            let (x, y) = place(0);
            let light = 1.08 - 0.12 * x - 0.1 * y + 0.03 * (x * 23.0).sin() * (y * 17.0).cos();
            for (value, colour) in pixel.0.iter_mut().zip(colour) {
                let new = (colour * light).clamp(0.0, 255.0);
                *value = (f32::from(*value) * (1.0 - cover) + new * cover).round() as u8;
            }
        }
    }
}
