use std::fmt::Write;
use std::path::Path;

use autorma_classifier::{Decoder, read_file};
use autorma_evaluation::page::escaped;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

use super::manifest::Row;
use super::{Cost, Split};

/// Photos of a class that are shown of each side.
const SHOWN: usize = 12;
/// Their width and height in pixels.
const SIDE: u32 = 112;

/// A page with some photos of each class and side, that needs no other file. `rows` are in an order in which the first
/// ones of each class and side are a fair sample; the files are below `folder`.
pub(super) fn html(folder: &Path, classes: &[String], rows: &[(&Row, &Path)], cost: Cost) -> String {
    let mut decoder = Decoder::new(SIDE, SIDE, cost.limits);
    let mut page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Contact sheet</title><style>{STYLE}</style><h1>Contact sheet</h1>\
         <p>At most {SHOWN} photos of each class and side, drawn by lot, and stretched to a square as the classifier sees \
         them. Point at one for its name.</p>"
    );
    for class in classes {
        for split in Split::ALL {
            let those: Vec<_> =
                rows.iter().filter(|(row, _)| row.class == *class && row.split == split).collect();
            // Writing to a string doesn't fail.
            let _ = write!(page, "<h2>{} · {split} · {} photos</h2><p>", escaped(class), those.len());
            for (row, path) in those.iter().take(SHOWN) {
                if let Some(jpeg) = thumbnail(&folder.join(path), &mut decoder, cost.limits.bytes) {
                    let (data, name) = (STANDARD.encode(jpeg), escaped(&row.path));
                    let _ = write!(
                        page,
                        "<img src=\"data:image/jpeg;base64,{data}\" title=\"{name}\" alt=\"{name}\">"
                    );
                }
            }
            page.push_str("</p>\n");
        }
    }
    page
}

const STYLE: &str = "body{font:14px sans-serif;margin:2em}h2{font-size:1em;margin:1.5em 0 .3em}p{margin:0}\
                     img{width:112px;height:112px;margin:1px}";

fn thumbnail(path: &Path, decoder: &mut Decoder, most: u64) -> Option<Vec<u8>> {
    let picture = decoder.decode(&read_file(path, most).ok()?).ok()?;
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 80);
    RgbImage::from_raw(SIDE, SIDE, picture.0)?.write_with_encoder(encoder).ok()?;
    Some(jpeg)
}
