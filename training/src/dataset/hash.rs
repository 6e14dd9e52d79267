use std::fmt;
use std::sync::OnceLock;

use autorma_schemas::hex;

/// A perceptual hash of 256 bits: pictures that look alike have hashes that differ in few of them.
///
/// The DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1, with
/// four times as many bits: studio photos of one kind of article differ in so little that 64 bits can't tell them apart.
/// The picture is stretched to [`SIDE`] × [`SIDE`] pixels and made grey (BT.601). Each bit says whether one of the 16 × 16
/// coefficients of the discrete cosine transform (DCT-II) of the lowest frequencies, without the constant ones, is
/// above their median. Colours don't enter, nor do brightness and contrast: an article in two colours looks alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerceptualHash(pub [u64; 4]);

/// Width and height in pixels of the picture that is hashed.
pub const SIDE: u32 = 64;
const SIZE: usize = SIDE as usize;
const KEPT: usize = 16;

impl PerceptualHash {
    /// Of a picture of [`SIDE`] × [`SIDE`] pixels: rows from the top, three bytes (red, green, blue) a pixel.
    pub fn of(pixels: &[u8]) -> Self {
        let grey =
            |rgb: &[u8]| 0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2]);
        let grey: Vec<f32> = pixels.chunks_exact(3).map(grey).collect();
        let waves = waves();
        let project = |wave: &[f32; SIZE], values: &mut dyn Iterator<Item = f32>| {
            wave.iter().zip(values).map(|(wave, value)| wave * value).sum::<f32>()
        };
        // Rows first: of each, what every kept frequency has.
        let rows: Vec<f32> = grey
            .chunks_exact(SIZE)
            .flat_map(|row| waves.iter().map(move |wave| project(wave, &mut row.iter().copied())))
            .collect();
        let column =
            |x: usize, wave: &[f32; SIZE]| project(wave, &mut rows.iter().skip(x).step_by(KEPT).copied());
        let coefficients: Vec<f32> =
            waves.iter().flat_map(|wave| (0..KEPT).map(move |x| column(x, wave))).collect();
        let mut sorted = coefficients.clone();
        sorted.sort_by(f32::total_cmp);
        let median = (sorted[sorted.len() / 2 - 1] + sorted[sorted.len() / 2]) / 2.0;
        let mut bits = [0; 4];
        for (place, _) in coefficients.iter().enumerate().filter(|(_, value)| **value > median) {
            bits[place / 64] |= 1 << (place % 64);
        }
        Self(bits)
    }

    /// In how many of the 256 bits they differ.
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(other.0).map(|(one, two)| (one ^ two).count_ones()).sum()
    }
}

/// The cosines of frequencies 1 to 16.
fn waves() -> &'static [[f32; SIZE]; KEPT] {
    static WAVES: OnceLock<[[f32; SIZE]; KEPT]> = OnceLock::new();
    WAVES.get_or_init(|| {
        let cosine = |frequency: usize, place: usize| {
            (std::f64::consts::PI / SIZE as f64 * (place as f64 + 0.5) * (frequency + 1) as f64).cos() as f32
        };
        std::array::from_fn(|frequency| std::array::from_fn(|place| cosine(frequency, place)))
    })
}

/// 64 hexadecimal digits.
impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| f.write_str(&hex(&word.to_be_bytes())))
    }
}
