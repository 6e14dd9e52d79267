use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

use super::*;
use crate::decode::{Decoder, Picture};

const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };

/// As JPEG with the markers SOI, APP0 (JFIF), one or more others, SOS and EOI.
fn photo() -> Vec<u8> {
    let photo = RgbImage::from_fn(200, 120, |x, y| Rgb([x as u8, (x * y % 251) as u8, (y * 2) as u8]));
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode_image(&photo).unwrap();
    file
}

fn decoded(file: &[u8]) -> Result<Picture, Failure> {
    Decoder::new(200, 120, LIMITS).decode(file)
}

/// Where the marker is.
fn find(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|bytes| bytes == [0xFF, marker]).unwrap()
}

fn with(file: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    [&file[..at], bytes, &file[at..]].concat()
}

#[test]
fn bytes_behind_the_picture_and_odd_fields_of_its_scan_change_nothing() {
    let file = photo();
    let whole = decoded(&file).unwrap();
    assert_eq!(decoded(&with(&file, file.len() - 2, &[0; 3])).unwrap(), whole);
    let mut odd = file.clone();
    let scan = find(&file, 0xDA);
    let length = usize::from(u16::from_be_bytes([odd[scan + 2], odd[scan + 3]]));
    // The last coefficient of the scan, which only progressive pictures have a choice of.
    odd[scan + length] = 0;
    assert_eq!(decoded(&odd).unwrap(), whole);
    for length in [odd.len() / 2, odd.len() - 20, odd.len() - 2] {
        assert!(decoded(&odd[..length]).is_err(), "{length}");
    }
}

#[test]
fn odd_headers_are_decoded_and_what_is_cut_off_is_not() {
    let file = photo();
    let whole = decoded(&file).unwrap();
    let mut revised = file.clone();
    let jfif = find(&file, 0xE0);
    assert_eq!(&file[jfif + 4..jfif + 9], b"JFIF\0");
    revised[jfif + 9] = 9;
    let spaced = with(&file, find(&file, 0xDB), &[0; 5]);
    for odd in [revised, spaced] {
        assert_eq!(decoded(&odd).unwrap(), whole);
        for length in [odd.len() / 2, odd.len() * 3 / 4, odd.len() - 20] {
            let cut = decoded(&odd[..length]);
            assert!(matches!(&cut, Err(it) if it.reason == Reason::Undecodable), "{length}: {cut:?}");
        }
    }
}

/// Half of the pictures that lose one bit lose their place so: what follows is shifted, and its end is left over.
#[test]
fn what_is_left_over_of_a_broken_picture_isn_t_filling() {
    let file = photo();
    let scan = find(&file, 0xDA) + 14;
    let broken = |at: usize| {
        let mut broken = file.clone();
        broken[scan + at] ^= 1 << (at % 8);
        decoded(&broken)
    };
    let refused = (0..file.len() - 2 - scan).step_by(97).filter(|at| broken(*at).is_err()).count();
    let tried = (file.len() - 2 - scan).div_ceil(97);
    assert!(refused * 3 > tried, "{refused} of {tried}");
    assert!(decoded(&with(&file, file.len() - 2, &[0; 18])).is_err());
}
