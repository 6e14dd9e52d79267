//! How far perceptual hashes are apart: of a photo and altered copies of it, and of different photos.
//!
//! `cargo run --release -p autorma-training --example look_alikes -- FOLDER…` prints, for photos below the folders, the
//! distances at which so many altered copies are found, and how many pairs of different photos are at most so far
//! apart. The distance of `autorma dataset` was chosen with it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use autorma_classifier::{Decoder, Limits, read_file};
use autorma_schemas::is_photo;
use autorma_training::dataset::{PerceptualHash, SIDE};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView};

const LIMITS: Limits = Limits { bytes: 64 << 20, pixels: 50_000_000, memory: 256 << 20 };

fn photos(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            photos(&path, found);
        } else if is_photo(&path) {
            found.push(path);
        }
    }
}

fn hash(file: &[u8]) -> Option<PerceptualHash> {
    let picture = Decoder::new(SIDE, SIDE, LIMITS).decode(file).ok()?;
    Some(PerceptualHash::of(&picture.0))
}

fn jpeg(picture: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality)).unwrap();
    file.into_inner()
}

/// What happens to photos on their way through shops and data sets.
fn altered(picture: &DynamicImage) -> [(&'static str, Vec<u8>); 8] {
    let (width, height) = picture.dimensions();
    let cut = |share: f64| {
        let (x, y) = ((f64::from(width) * share) as u32, (f64::from(height) * share) as u32);
        picture.crop_imm(x, y, width - 2 * x, height - 2 * y)
    };
    let half = picture.resize_exact((width / 2).max(1), (height / 2).max(1), FilterType::Triangle);
    let squashed = picture.resize_exact(width, (height * 4 / 3).max(1), FilterType::Triangle);
    [
        ("jpeg 70", jpeg(picture, 70)),
        ("jpeg 30", jpeg(picture, 30)),
        ("half the size", jpeg(&half, 80)),
        ("stretched", jpeg(&squashed, 80)),
        ("brighter", jpeg(&picture.brighten(20), 80)),
        ("more contrast", jpeg(&picture.adjust_contrast(15.0), 80)),
        ("1 % cut off", jpeg(&cut(0.01), 80)),
        ("3 % cut off", jpeg(&cut(0.03), 80)),
    ]
}

fn main() {
    let mut paths = Vec::new();
    std::env::args_os().skip(1).for_each(|folder| photos(Path::new(&folder), &mut paths));
    paths.sort();
    let mut hashes = Vec::new();
    let mut copies: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, path) in paths.iter().enumerate() {
        let Ok(file) = read_file(path, LIMITS.bytes) else { continue };
        let Some(own) = hash(&file) else { continue };
        hashes.push(own);
        if number % 10 == 0 {
            let picture = image::load_from_memory(&file).unwrap();
            for (name, copy) in altered(&picture) {
                copies.entry(name).or_default().push(own.distance(&hash(&copy).unwrap()));
            }
        }
    }
    for (name, mut distances) in copies {
        distances.sort_unstable();
        let at = |share: f64| distances[((distances.len() - 1) as f64 * share) as usize];
        println!("{name:15} half within {}, 90 % {}, 99 % {}, all {}", at(0.5), at(0.9), at(0.99), at(1.0));
    }
    let mut near = [0_u32; 257];
    for (place, one) in hashes.iter().enumerate() {
        hashes[..place].iter().for_each(|other| near[one.distance(other) as usize] += 1);
    }
    let mut sum = 0;
    for (distance, pairs) in near.iter().enumerate().take(81) {
        sum += pairs;
        if distance % 4 == 0 {
            println!("within {distance:3}: {sum} pairs of {}", hashes.len());
        }
    }
}
