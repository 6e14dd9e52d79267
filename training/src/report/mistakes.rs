use std::fmt::Write;

use autorma_classifier::{Decoder, Limits, read_file};
use autorma_evaluation::page::escaped;
use autorma_models::{Manifest, Verdict};
use autorma_schemas::Decision;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;

use crate::decisions::HeldOut;
use crate::photos::Photos;

/// The shorter side of a thumbnail, in pixels.
const SIDE: u32 = 96;
const QUALITY: u8 = 75;
/// How many mistakes of a kind are shown.
const MOST: usize = 24;

/// A photo and what is said of it.
struct Mistake<'a> {
    held_out: &'a HeldOut,
    verdict: Verdict,
    /// How bad it is.
    weight: f64,
}

/// How bad it is that this is said of a photo, if it is a mistake.
type Weight<'a> = &'a dyn Fn(&HeldOut, &Verdict) -> Option<f64>;

/// The worst mistakes of each kind, as thumbnails.
pub(super) fn render(manifest: &Manifest, photos: &Photos, held_out: &[HeldOut], limits: Limits) -> String {
    let judged: Vec<_> =
        held_out.iter().filter_map(|it| Some((it, manifest.decide(&it.logits).ok()?))).collect();
    let is_known = |it: &HeldOut| it.kind < photos.classes;
    let is_right =
        |it: &HeldOut, verdict: &Verdict| manifest.classes.get(it.kind) == Some(&verdict.predicted_class);
    let kinds: [(&str, Weight<'_>); 3] = [
        ("Another class, the surest first", &|it, verdict| {
            (is_known(it) && !is_right(it, verdict)).then_some(verdict.confidence)
        }),
        ("Of a class and called unknown, the surest first", &|it, verdict| {
            (is_known(it) && verdict.decision == Decision::Unknown).then_some(verdict.unknown_probability)
        }),
        ("Of none of the classes and accepted, the surest first", &|it, verdict| {
            (!is_known(it) && verdict.decision == Decision::Accept)
                .then_some(1.0 - verdict.unknown_probability)
        }),
    ];
    let mut decoder = Decoder::new(SIDE, SIDE, limits);
    let mut html = String::new();
    for (title, weight) in kinds {
        let mut mistakes: Vec<_> = judged
            .iter()
            .filter_map(|(held_out, verdict)| {
                Some(Mistake { held_out, verdict: verdict.clone(), weight: weight(held_out, verdict)? })
            })
            .collect();
        mistakes.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        let _ = write!(html, "<h3>{title}: {}</h3><div class=\"photos\">", mistakes.len());
        for mistake in mistakes.iter().take(MOST) {
            let path = &photos.all[mistake.held_out.photo].path;
            let thumbnail =
                read_file(path, limits.bytes).ok().and_then(|file| thumbnail(&file, &mut decoder));
            html += &figure(mistake, photos, &thumbnail.unwrap_or_default());
        }
        html += "</div>";
    }
    html
}

fn figure(mistake: &Mistake<'_>, photos: &Photos, thumbnail: &str) -> String {
    let photo = &photos.all[mistake.held_out.photo];
    let name = photo.path.display().to_string();
    let Verdict { predicted_class, confidence, unknown_probability, .. } = &mistake.verdict;
    format!(
        "<figure><img alt=\"\" src=\"{}\" title=\"{}\"><figcaption>{}<br>→ {} {:.0} %<br>unknown {:.0} %</figcaption></figure>",
        thumbnail,
        escaped(&name),
        escaped(&photos.kinds[photo.kind]),
        escaped(predicted_class),
        confidence * 100.0,
        unknown_probability * 100.0
    )
}

fn thumbnail(file: &[u8], decoder: &mut Decoder) -> Option<String> {
    let picture = decoder.in_proportion(file, SIDE).ok()?;
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, QUALITY).encode_image(&picture).ok()?;
    Some(format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(file)))
}
