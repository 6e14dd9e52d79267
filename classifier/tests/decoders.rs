//! What it costs that large JPEGs shrink while they are decoded, counted in predictions that change.

mod shared;

use std::io::Cursor;
use std::path::PathBuf;
use std::thread;

use autorma_classifier::{AT_ONCE, Session};
use autorma_models::Verdict;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};
use shared::{data, decoder, model, runtime, test_photos};

#[test]
fn shrinking_while_decoding_changes_hardly_any_prediction() {
    let Some(data) = data() else { return };
    let photos: Vec<_> = test_photos(&data).into_iter().step_by(3).map(|(path, _)| path).collect();
    let all = photos.len();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let all_verdicts: Vec<_> = thread::scope(|scope| {
        let parts = photos.chunks(all.div_ceil(processors));
        let judging: Vec<_> = parts.map(|part| scope.spawn(move || verdicts(part))).collect();
        judging.into_iter().flat_map(|judging| judging.join().unwrap()).collect()
    });
    let (mut classes, mut decisions, mut furthest) = (0, 0, 0.0_f64);
    for [shrunk, whole] in all_verdicts {
        classes += usize::from(shrunk.predicted_class != whole.predicted_class);
        decisions += usize::from(shrunk.decision != whole.decision);
        furthest = furthest.max((shrunk.confidence - whole.confidence).abs());
    }
    println!(
        "of {all}: {classes} other classes, {decisions} other decisions, confidence at most {furthest:.3} off"
    );
    assert!(classes * 100 <= all && decisions * 50 <= all, "{classes} and {decisions} of {all}");
}

/// Of each photo, made large: when it shrinks, and when each of its pixels is decoded.
fn verdicts(photos: &[PathBuf]) -> Vec<[Verdict; 2]> {
    let model = model();
    let mut decoder = decoder(&model);
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    let mut verdict = |file: &[u8]| {
        let logits = session.infer(&[&decoder.decode(file).unwrap()]).unwrap().remove(0);
        model.manifest.decide(&logits).unwrap()
    };
    let both = photos.iter().map(|path| {
        let photo = image::open(path).unwrap();
        let large = photo.resize_exact(1200, 1600, FilterType::CatmullRom).into_rgb8();
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&large).unwrap();
        // Another decoder, which decodes every pixel, and a file of its pixels, which has nothing to shrink.
        let mut bmp = Cursor::new(Vec::new());
        let whole: DynamicImage = image::load_from_memory(&jpeg).unwrap();
        whole.write_to(&mut bmp, ImageFormat::Bmp).unwrap();
        [verdict(&jpeg), verdict(bmp.get_ref())]
    });
    both.collect()
}
