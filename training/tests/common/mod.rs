//! Pictures that are drawn, and the shared photographs.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use autorma_classifier::Limits;
use autorma_training::dataset::{Check, Cost, DatasetError, DatasetInfo, NEAR, Options};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};

pub(crate) const COST: Cost =
    Cost { limits: Limits { bytes: 64 << 20, pixels: 50_000_000, memory: 256 << 20 }, threads: 2 };

/// A picture like no other with another number.
pub(crate) fn picture(number: u64) -> RgbImage {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut value = || {
        // Xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let coarse = RgbImage::from_fn(12, 12, |_, _| image::Rgb([value(), value(), value()]));
    resize(&coarse, 96, 128, FilterType::Triangle)
}

pub(crate) fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality)).unwrap();
    file
}

pub(crate) fn put(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Draws a picture for each name.
pub(crate) fn draw(root: &Path, names: impl IntoIterator<Item = String>, from: u64) {
    for (number, name) in names.into_iter().enumerate() {
        put(root, &name, &jpeg(&picture(from + number as u64), 90));
    }
}

pub(crate) fn options() -> Options {
    Options {
        per_class: None,
        ratio: "70/15/15".parse().unwrap(),
        group_by: None,
        near: NEAR,
        seed: 0,
        force: false,
    }
}

pub(crate) fn prepare(from: &Path, to: &Path, options: &Options) -> Result<DatasetInfo, DatasetError> {
    autorma_training::dataset::prepare(from, to, options, COST, &mut |_| true)
}

pub(crate) fn check(folder: &Path) -> Check {
    autorma_training::dataset::check(folder, None, NEAR, 3.0, COST, &mut |_| true).unwrap()
}

/// Every file below the folder with its content, by its path.
pub(crate) fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn collect(root: &Path, folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(root, &path, all),
                false => drop(all.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap())),
            }
        }
    }
    let mut all = BTreeMap::new();
    collect(root, root, &mut all);
    all
}

/// The columns of a prepared `manifest.csv` that the tests look at: path, class, split, group, source. No name in these
/// tests needs quotation marks.
pub(crate) fn rows(folder: &Path) -> Vec<[String; 5]> {
    let manifest = fs::read_to_string(folder.join("manifest.csv")).unwrap();
    let mut lines = manifest.lines();
    assert_eq!(
        lines.next().unwrap(),
        "path,class,split,sha256,perceptual_hash,group,contributor,source,bytes,width,height"
    );
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    lines.map(fields).map(|row| [0, 1, 2, 5, 7].map(|place: usize| row[place].clone())).collect()
}

/// The shared photographs; None when this isn't CI and they are missing.
pub(crate) fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let there = folder.is_dir();
    assert!(there || std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    if !there {
        eprintln!("skipped: there is no {}", folder.display());
    }
    there.then_some(folder)
}
