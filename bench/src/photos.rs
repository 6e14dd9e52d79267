//! Folders of photos to measure with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;

use crate::root;

/// How many of the large photos differ; the others are further names of the same files.
const DIFFERENT: usize = 100;

/// `count` photos of 1200×1600 pixels, made from the shared studio photos.
pub(crate) fn large(folder: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let input = folder.join("large");
    fs::create_dir(&input)?;
    let studio = studio()?;
    for number in 0..count {
        let path = input.join(format!("photo-{number:06}.jpg"));
        if number < DIFFERENT {
            let photo = image::open(&studio[number % studio.len()])?.into_rgb8();
            let large = image::imageops::resize(&photo, 1200, 1600, FilterType::CatmullRom);
            JpegEncoder::new_with_quality(fs::File::create(&path)?, 90).encode_image(&large)?;
        } else {
            fs::hard_link(input.join(format!("photo-{:06}.jpg", number % DIFFERENT)), &path)?;
        }
    }
    Ok(input)
}

/// A folder of `count` photos that are further names of these, again and again.
pub(crate) fn names(of: &Path, folder: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let input = folder.join(format!("photos-{count}"));
    fs::create_dir(&input)?;
    let mut photos: Vec<_> = fs::read_dir(of)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
    photos.sort();
    for (number, photo) in photos.iter().cycle().take(count).enumerate() {
        fs::hard_link(photo, input.join(format!("photo-{number:06}.jpg")))?;
    }
    Ok(input)
}

/// `count` photos of 48×64 pixels.
pub(crate) fn tiny(folder: &Path, count: usize) -> anyhow::Result<PathBuf> {
    let input = folder.join("tiny");
    fs::create_dir(&input)?;
    let studio = studio()?;
    let photo = image::open(&studio[0])?.into_rgb8();
    let mut small = image::imageops::resize(&photo, 48, 64, FilterType::Triangle);
    for number in 0..count {
        // Each has content of its own.
        let mark = (number as u32).to_le_bytes();
        small.put_pixel(0, 0, image::Rgb([mark[0], mark[1], mark[2]]));
        let file = fs::File::create(input.join(format!("tiny-{number:06}.jpg")))?;
        JpegEncoder::new_with_quality(file, 95).encode_image(&small)?;
    }
    Ok(input)
}

fn studio() -> anyhow::Result<Vec<PathBuf>> {
    let folder = root().join("../shared/data/fashion/test");
    let mut photos = Vec::new();
    for class in fs::read_dir(&folder).with_context(|| format!("{} is missing", folder.display()))? {
        for photo in fs::read_dir(class?.path())? {
            photos.push(photo?.path());
        }
    }
    photos.sort();
    Ok(photos)
}
