use std::io::Cursor;

use autorma_schemas::Reason;
use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::frame::{coefficients, is_cut_off};
use super::{Limits, Raw};
use crate::Failure;

/// Any format that the `image` crate decodes: the first picture in the file.
pub(super) fn decode(file: &[u8], format: ImageFormat, limits: &Limits) -> Result<Raw, Failure> {
    // Of what is missing, this decoder makes grey without a word.
    if format == ImageFormat::Jpeg && is_cut_off(file) {
        return Err(Failure::new(Reason::Undecodable, "the end of the picture is missing"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut own = image::Limits::default();
    own.max_alloc = Some(limits.memory);
    reader.limits(own);
    let mut decoder = reader.into_decoder().map_err(failure)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let memory =
        decoder.total_bytes().saturating_add(pixels.saturating_mul(conversion(decoder.color_type())));
    let kept = if format == ImageFormat::Jpeg { coefficients(file) } else { 0 };
    limits.check(width.into(), height.into(), memory.saturating_add(kept))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(failure)?;
    Ok(Raw { width, height, pixels: opaque(picture), orientation })
}

/// Bytes a pixel that [`opaque`] needs beside the picture as it was decoded.
fn conversion(color: ColorType) -> u64 {
    match color {
        ColorType::Rgb8 => 0,
        ColorType::Rgba8 => 3,
        color if color.has_alpha() => 4 + 3,
        _ => 3,
    }
}

/// Three bytes a pixel; what is transparent shows white.
fn opaque(picture: DynamicImage) -> Vec<u8> {
    if !picture.color().has_alpha() {
        return picture.into_rgb8().into_raw();
    }
    let picture = picture.into_rgba8().into_raw();
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    // Sized beforehand: a vector that grows by doubling would need more than was checked.
    let mut opaque = Vec::with_capacity(picture.len() / 4 * 3);
    for pixel in picture.chunks_exact(4) {
        opaque.extend([0, 1, 2].map(|channel| on_white(pixel[channel], pixel[3])));
    }
    opaque
}

fn failure(error: ImageError) -> Failure {
    let reason = match &error {
        ImageError::Limits(limit) => match limit.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => Reason::TooManyPixels,
            _ => Reason::Undecodable,
        },
        ImageError::Unsupported(_) => Reason::UnknownFormat,
        _ => Reason::Undecodable,
    };
    Failure::new(reason, error.to_string())
}
