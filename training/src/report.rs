//! One HTML page about a training, which needs nothing beside it.

mod mistakes;

use autorma_classifier::Limits;
use autorma_evaluation::page::{Line, confusion, list, page, plot, reliability, table};
use autorma_models::Manifest;

use crate::decisions::{HeldOut, UnknownErrors};
use crate::metrics::{FIGURES, Metrics, STRANGERS};
use crate::photos::Photos;

/// The page.
pub(crate) fn render(
    manifest: &Manifest,
    metrics: &Metrics,
    photos: &Photos,
    held_out: &[HeldOut],
    limits: Limits,
) -> String {
    let mut body = format!(
        "<p>{} variations of each photo{}; {:.0} s. Temperature {}, accepted {}, unknown from {}.</p>",
        metrics.copies,
        metrics.unfinished(),
        metrics.seconds,
        manifest.temperature,
        match manifest.thresholds.accepts() {
            true => format!("from {}", manifest.thresholds.accept),
            false => "nothing".into(),
        },
        manifest.thresholds.unknown
    );
    body += "<h2>Figures</h2><p>In per cent, with 95 % intervals. Held-out photos were judged by heads that had not learned \
             from their contributor, look-alikes, or kind of other article (scenes of all parts stand behind cut-out articles \
             in what every head learns; only as scenes they are held out); \"others of learned kinds\", by heads that had \
             learned other photos of their kinds. \"In floats\" is what the model that ships was quantized from.</p>";
    body += &table(&FIGURES, metrics.figures().into_iter().map(Vec::from));
    body += &kinds(metrics);
    body += &format!("<h2>Curves</h2><div class=\"plots\">{}</div>", curves(metrics));
    let all = metrics.held_out.first().map(|section| ("held-out photos", &section.quality));
    for (name, quality) in all.into_iter().chain(metrics.test.as_ref().map(|it| ("test photos", it))) {
        body += &format!("<h2>Confusion, {name}</h2>{}", confusion(&manifest.classes, &quality.confusion));
    }
    body += "<h2>The worst mistakes</h2>";
    body += &mistakes::render(manifest, photos, held_out, limits);
    if !metrics.failed.is_empty() {
        body += &format!("<h2>Left out</h2>{}", list(&metrics.failed));
    }
    page(&format!("{} {}", manifest.name, manifest.version), &body)
}

/// What is none of the classes, kind by kind.
fn kinds(metrics: &Metrics) -> String {
    let names: Vec<_> = std::iter::once("kind").chain(STRANGERS.map(|(name, _)| name)).collect();
    let rows = metrics.kinds();
    match rows.is_empty() {
        true => String::new(),
        false => {
            format!(
                "<h2>None of the classes: found unknown</h2>{}",
                table(&names, rows.into_iter().map(Vec::from))
            )
        }
    }
}

fn curves(metrics: &Metrics) -> String {
    let curve = |losses: &[f64]| (1..).map(f64::from).zip(losses.iter().copied()).collect();
    let name = if metrics.is_tuned { "head, before the backbone was tuned" } else { "shipped head" };
    let loss = plot("iteration", "loss", &[Line { name, points: curve(&metrics.losses) }]);
    let tuning = match metrics.tuning_losses.as_slice() {
        [] => String::new(),
        losses => plot("step", "loss", &[Line { name: "shipped backbone, tuned", points: curve(losses) }]),
    };
    let errors = |name, of: fn(&UnknownErrors) -> Option<f64>| {
        let points = metrics.unknown_errors.iter().filter_map(|it| Some((it.threshold, of(it)?)));
        Line { name, points: points.collect() }
    };
    let mut lines = vec![
        errors("of the classes, called unknown", |it| Some(it.refused)),
        errors("the same, from contributors", |it| it.refused_contributed),
        errors("of none, not called unknown", |it| it.missed),
    ];
    // Of photos that there are none of nothing is known.
    lines.retain(|line| !line.points.is_empty());
    let unknown = plot("threshold for unknown", "share of photos", &lines);
    let of_held_out = metrics.held_out.first().map(|section| reliability(&section.quality.reliability));
    loss + &tuning + &unknown + &of_held_out.unwrap_or_default()
}
