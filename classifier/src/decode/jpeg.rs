use std::io::Cursor;

use autorma_schemas::Reason;
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

use super::{Limits, Raw, other};
use crate::Failure;

/// More scans than any camera writes: each is another pass over the whole picture.
const MOST_SCANS: u32 = 200;

/// The JPEG in `file` through libjpeg-turbo, which shrinks while it decodes: by 2, 4 or 8 as long as both sides keep at
/// least `side` pixels.
///
/// Each picture has a decompressor of its own: one that has met a broken file refuses the good ones after it.
pub(super) fn decode(file: &[u8], side: u32, limits: &Limits) -> Result<Raw, Failure> {
    let mut decompressor = open().map_err(broken)?;
    let header = match decompressor.read_header(file) {
        Ok(header) => header,
        // Sampling that libjpeg-turbo's interface has no name for.
        Err(turbojpeg::Error::BadSubsamp(_)) => return other::decode(file, ImageFormat::Jpeg, limits),
        Err(error) => return Err(broken(error)),
    };
    if header.is_lossless || matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
        return other::decode(file, ImageFormat::Jpeg, limits);
    }
    let scale = scale(&header, side as usize);
    let (width, height) = (scale.scale(header.width), scale.scale(header.height));
    let pitch = width * PixelFormat::RGB.size();
    limits.check(header.width as u64, header.height as u64, memory(&header) + (pitch * height) as u64)?;
    decompressor.set_scaling_factor(scale).map_err(broken)?;
    let mut pixels = vec![0; pitch * height];
    let image = Image { pixels: pixels.as_mut_slice(), width, pitch, height, format: PixelFormat::RGB };
    decompressor.decompress(file, image).map_err(broken)?;
    Ok(Raw { width: width as u32, height: height as u32, pixels, orientation: orientation(file) })
}

fn open() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(MOST_SCANS)?;
    Ok(decompressor)
}

fn scale(header: &DecompressHeader, side: usize) -> ScalingFactor {
    let factors = [8, 4, 2].map(|denominator| ScalingFactor::new(1, denominator));
    let large =
        |factor: &ScalingFactor| factor.scale(header.width) >= side && factor.scale(header.height) >= side;
    factors.into_iter().find(large).unwrap_or(ScalingFactor::ONE)
}

/// A progressive picture is in memory as a whole: two bytes for each coefficient.
fn memory(header: &DecompressHeader) -> u64 {
    if !header.is_progressive {
        return 0;
    }
    let pixels = header.width as u64 * header.height as u64;
    match header.subsamp {
        Subsamp::Gray => pixels * 2,
        Subsamp::Sub2x2 => pixels * 3,
        _ => pixels * 6,
    }
}

/// As its EXIF says; upright where that can't be read.
fn orientation(file: &[u8]) -> Orientation {
    JpegDecoder::new(Cursor::new(file))
        .and_then(|mut decoder| decoder.orientation())
        .unwrap_or(Orientation::NoTransforms)
}

fn broken(error: turbojpeg::Error) -> Failure {
    Failure::new(Reason::Undecodable, error.to_string())
}
