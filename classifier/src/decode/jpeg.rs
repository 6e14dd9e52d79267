use autorma_schemas::Reason;
use image::ImageFormat;
use image::metadata::Orientation;
use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Error, Image, PixelFormat, ScalingFactor};

use super::frame::{coefficients, orientation, tidied};
use super::{Limits, Raw, other};
use crate::Failure;

#[cfg(test)]
mod tests;

/// More scans than any camera writes: each is another pass over the whole picture.
const MOST_SCANS: u32 = 200;

/// Bytes that cameras leave behind the picture, at most. Where the rest of a picture is broken, libjpeg often tells
/// nothing but that there are more of them than it could read.
const MOST_FILLING: u32 = 16;

/// The JPEG in `file`. One that is written oddly is decoded as it should have been written: libjpeg remarks on the first
/// oddity only, and would say nothing of a picture that is broken behind it.
pub(super) fn decode(file: &[u8], side: u32, limits: &Limits) -> Result<Raw, Failure> {
    match strictly(file, side, limits) {
        Err(failure) if failure.reason == Reason::Undecodable => match tidied(file) {
            Some(tidy) => strictly(&tidy, side, limits),
            None => Err(failure),
        },
        decoded => decoded,
    }
}

/// The JPEG in `file` through libjpeg-turbo, which shrinks while it decodes: by 2, 4 or 8 as long as both sides keep at
/// least `side` pixels.
///
/// Each picture has a decompressor of its own: one that has met a broken file refuses the good ones after it.
fn strictly(file: &[u8], side: u32, limits: &Limits) -> Result<Raw, Failure> {
    let mut decompressor = open().map_err(broken)?;
    let header = match decompressor.read_header(file) {
        Ok(header) => header,
        // Sampling that libjpeg-turbo's interface has no name for.
        Err(Error::BadSubsamp(_)) => return other::decode(file, ImageFormat::Jpeg, limits),
        Err(error) => return Err(broken(error)),
    };
    if header.is_lossless || matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
        return other::decode(file, ImageFormat::Jpeg, limits);
    }
    let scale = scale(&header, side as usize);
    let (width, height) = (scale.scale(header.width), scale.scale(header.height));
    let pitch = width * PixelFormat::RGB.size();
    limits.check(header.width as u64, header.height as u64, coefficients(file) + (pitch * height) as u64)?;
    decompressor.set_scaling_factor(scale).map_err(broken)?;
    let mut pixels = vec![0; pitch * height];
    let image = Image { pixels: pixels.as_mut_slice(), width, pitch, height, format: PixelFormat::RGB };
    decompressor
        .decompress(file, image)
        .or_else(|error| if is_filling(&error) { Ok(()) } else { Err(broken(error)) })?;
    let orientation = orientation(file).unwrap_or(Orientation::NoTransforms);
    Ok(Raw { width: width as u32, height: height as u32, pixels, orientation })
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

/// Whether libjpeg only remarks on bytes behind the picture. It says the first remark alone, and of what is missing or
/// broken it says that.
fn is_filling(remark: &Error) -> bool {
    let Error::TurboJpegError(remark) = remark else { return false };
    let bytes =
        remark.strip_suffix(" extraneous bytes before marker 0xd9").and_then(|it| it.rsplit(' ').next());
    bytes.is_some_and(|bytes| bytes.parse().is_ok_and(|bytes: u32| bytes <= MOST_FILLING))
}

fn broken(error: Error) -> Failure {
    Failure::new(Reason::Undecodable, error.to_string())
}
