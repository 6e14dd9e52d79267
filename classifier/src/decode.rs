//! From the bytes of any file to a [`Picture`] of the model's size, or the reason why not. What a file declares is
//! held against the limits before anything is allocated for it.

mod jpeg;
mod other;

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

/// Decodes pictures on one thread; keeps its buffers from one to the next.
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
        if file.len() as u64 > self.limits.bytes {
            return Err(too_many_bytes(file.len() as u64, self.limits.bytes));
        }
        let format = image::guess_format(file).map_err(|_| {
            Failure::new(Reason::UnknownFormat, "not a picture of a format that can be decoded")
        })?;
        let raw = match format {
            ImageFormat::Jpeg => jpeg::decode(file, self.width.max(self.height), &self.limits)?,
            other => other::decode(file, other, &self.limits)?,
        };
        self.fit(raw)
    }

    /// Stretches first and turns then: the smaller picture is the cheaper one to turn.
    fn fit(&mut self, raw: Raw) -> Result<Picture, Failure> {
        let broken = |cause: &dyn std::fmt::Display| Failure::new(Reason::Undecodable, cause.to_string());
        let (width, height) =
            if swaps_axes(raw.orientation) { (self.height, self.width) } else { (self.width, self.height) };
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

pub(crate) fn too_many_bytes(found: u64, allowed: u64) -> Failure {
    Failure::new(Reason::TooManyBytes, format!("{found} bytes, of which at most {allowed} are allowed"))
}

fn swaps_axes(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}
