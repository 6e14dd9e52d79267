//! From the bytes of any file to a [`Picture`] of the model's size, or the reason why not. What a file declares is
//! held against the limits before anything is allocated for it.

mod frame;
mod jpeg;
mod other;

use std::panic::{AssertUnwindSafe, catch_unwind};

use autorma_schemas::Reason;
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};

use crate::Failure;

/// What one file may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Pixels of the picture.
    pub pixels: u64,
    /// Bytes of memory for decoding it.
    pub memory: u64,
}

/// A picture of the model's size: rows from the top, three bytes (red, green, blue) a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(pub Vec<u8>);

/// Decodes pictures on one thread; keeps its buffers from one to the next. A file on which a decoder panics is refused like
/// any other that is broken.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    width: u32,
    height: u32,
    resizer: Resizer,
}

/// A picture as it is in its file, maybe smaller.
struct Raw {
    width: u32,
    height: u32,
    /// Three bytes a pixel.
    pixels: Vec<u8>,
    /// How it was held when it was taken.
    orientation: Orientation,
}

impl Decoder {
    /// Pictures of `width` × `height` pixels.
    pub fn new(width: u32, height: u32, limits: Limits) -> Self {
        Self { limits, width, height, resizer: Resizer::new() }
    }

    /// The picture in `file`, upright and stretched to size. Its content decides what it is, not its name.
    pub fn decode(&mut self, file: &[u8]) -> Result<Picture, Failure> {
        contained(|| {
            let raw = self.raw(file, self.width.max(self.height))?;
            let (width, height) = if swaps_axes(raw.orientation) {
                (self.height, self.width)
            } else {
                (self.width, self.height)
            };
            self.fit(raw, width, height)
        })
    }

    /// The picture in `file`, upright and in its own proportions; its shorter side has at most `side` pixels. For
    /// training, which does things to pictures before a model sees them.
    pub fn in_proportion(&mut self, file: &[u8], side: u32) -> Result<RgbImage, Failure> {
        contained(|| {
            let raw = self.raw(file, side)?;
            let shrunk = f64::from(side) / f64::from(raw.width.min(raw.height).max(side));
            let [width, height] =
                [raw.width, raw.height].map(|it| (f64::from(it) * shrunk).round().max(1.0) as u32);
            let (across, down) = if swaps_axes(raw.orientation) { (height, width) } else { (width, height) };
            let Picture(pixels) = self.fit(raw, width, height)?;
            RgbImage::from_raw(across, down, pixels).ok_or_else(|| broken(&"no pixels"))
        })
    }

    /// The picture as it is in its file; a JPEG maybe smaller, but no side below `side` pixels for that.
    fn raw(&self, file: &[u8], side: u32) -> Result<Raw, Failure> {
        // No file is known on which one does.
        #[cfg(test)]
        assert_ne!(file, tests::PANICS, "as a decoder may");
        if file.len() as u64 > self.limits.bytes {
            return Err(too_many_bytes(file.len() as u64, self.limits.bytes));
        }
        let format = image::guess_format(file).map_err(|_| {
            Failure::new(Reason::UnknownFormat, "not a picture of a format that can be decoded")
        })?;
        match format {
            ImageFormat::Jpeg => jpeg::decode(file, side, &self.limits),
            other => other::decode(file, other, &self.limits),
        }
    }

    /// Stretches first, to `width` × `height`, and turns then: the smaller picture is the cheaper one to turn.
    fn fit(&mut self, raw: Raw, width: u32, height: u32) -> Result<Picture, Failure> {
        let source = Image::from_vec_u8(raw.width, raw.height, raw.pixels, PixelType::U8x3)
            .map_err(|error| broken(&error))?;
        let mut fitted = Image::new(width, height, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer.resize(&source, &mut fitted, &options).map_err(|error| broken(&error))?;
        if raw.orientation == Orientation::NoTransforms {
            return Ok(Picture(fitted.into_vec()));
        }
        let fitted =
            RgbImage::from_raw(width, height, fitted.into_vec()).ok_or_else(|| broken(&"no pixels"))?;
        let mut upright = DynamicImage::ImageRgb8(fitted);
        upright.apply_orientation(raw.orientation);
        Ok(Picture(upright.into_rgb8().into_raw()))
    }
}

/// What `work` makes of a file. One that makes it panic costs itself only.
pub fn contained<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // A decoder holds nothing but buffers that the next picture overwrites.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::new(Reason::Undecodable, "the decoder panicked on this file")))
}

impl Limits {
    /// Whether a picture of this size may be decoded with so much memory.
    fn check(&self, width: u64, height: u64, memory: u64) -> Result<(), Failure> {
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err(Failure::new(Reason::Undecodable, format!("{width}×{height} pixels")));
        }
        if pixels > self.pixels {
            let message = format!("{width}×{height} pixels, of which at most {} are allowed", self.pixels);
            return Err(Failure::new(Reason::TooManyPixels, message));
        }
        if memory > self.memory {
            let message =
                format!("decoding takes {memory} bytes, of which at most {} are allowed", self.memory);
            return Err(Failure::new(Reason::TooManyPixels, message));
        }
        Ok(())
    }
}

fn broken(cause: &dyn std::fmt::Display) -> Failure {
    Failure::new(Reason::Undecodable, cause.to_string())
}

pub(crate) fn too_many_bytes(found: u64, allowed: u64) -> Failure {
    Failure::new(Reason::TooManyBytes, format!("{found} bytes, of which at most {allowed} are allowed"))
}

fn swaps_axes(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::{self, FilterType as Filter};
    use image::{ImageEncoder, Rgb};

    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };

    /// 800 × 400 pixels, red on the left and blue on the right; to be held as this EXIF value says.
    fn photo(orientation: u8) -> Vec<u8> {
        let photo =
            RgbImage::from_fn(800, 400, |x, _| Rgb(if x < 400 { [220, 20, 20] } else { [20, 20, 220] }));
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new(&mut file);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.encode_image(&photo).unwrap();
        file
    }

    pub(super) const PANICS: &[u8] = b"a decoder panics";

    #[test]
    fn a_file_on_which_a_decoder_panics_costs_itself_only() {
        let mut decoder = Decoder::new(40, 20, LIMITS);
        let failure = decoder.decode(PANICS).unwrap_err();
        assert_eq!(failure.to_string(), "undecodable: the decoder panicked on this file");
        assert_eq!(decoder.in_proportion(PANICS, 20).unwrap_err(), failure);
        decoder.decode(&photo(1)).unwrap();
    }

    #[test]
    fn proportions_stay_and_small_pictures_aren_t_enlarged() {
        let mut decoder = Decoder::new(7, 7, LIMITS);
        let mut size = |side| decoder.in_proportion(&photo(1), side).unwrap().dimensions();
        assert_eq!([size(100), size(33), size(1000)], [(200, 100), (66, 33), (800, 400)]);
    }

    #[test]
    fn a_picture_is_upright_in_its_proportions_as_in_the_model_s() {
        let mut decoder = Decoder::new(40, 20, LIMITS);
        // Held so that its left side is above.
        let upright = decoder.in_proportion(&photo(6), 20).unwrap();
        assert_eq!(upright.dimensions(), (20, 40));
        let is_red = |pixel: &[u8]| pixel[0] > 150 && pixel[2] < 80;
        assert!(is_red(&upright.get_pixel(10, 5).0) && !is_red(&upright.get_pixel(10, 35).0));
        let Picture(stretched) = decoder.decode(&photo(6)).unwrap();
        assert!(is_red(&stretched[3 * 20..]) && !is_red(&stretched[3 * (18 * 40 + 20)..]));
        // Where no proportion is changed, both are the same pixels.
        let Picture(stretched) = decoder.decode(&photo(1)).unwrap();
        assert_eq!(decoder.in_proportion(&photo(1), 20).unwrap().into_raw(), stretched);
    }

    /// What the manifest calls `stretch-bilinear-antialiased` is what others call a triangle, as wide as the pixel.
    #[test]
    fn pictures_are_stretched_as_the_manifest_says() {
        let mut noise = 1_u32;
        let noisy = RgbImage::from_fn(97, 53, |_, _| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([24, 16, 8].map(|bits| (noise >> bits) as u8))
        });
        let mut file = Cursor::new(Vec::new());
        noisy.write_to(&mut file, ImageFormat::Bmp).unwrap();
        for (width, height) in [(40, 20), (200, 100), (120, 30)] {
            let Picture(stretched) = Decoder::new(width, height, LIMITS).decode(file.get_ref()).unwrap();
            let expected = imageops::resize(&noisy, width, height, Filter::Triangle).into_raw();
            assert_eq!(stretched.len(), expected.len());
            let furthest = stretched.iter().zip(&expected).map(|(it, expected)| it.abs_diff(*expected)).max();
            // Each rounds in its own places.
            assert!(furthest <= Some(2), "{furthest:?} off at {width} × {height}");
        }
    }

    #[test]
    fn limits_hold_for_both() {
        let mut decoder = Decoder::new(40, 20, Limits { pixels: 1000, ..LIMITS });
        assert!(
            matches!(decoder.in_proportion(&photo(1), 20), Err(failure) if failure.reason == Reason::TooManyPixels)
        );
    }
}
