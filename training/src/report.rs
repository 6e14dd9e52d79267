//! One HTML page about a training, which needs nothing beside it.

mod mistakes;
mod svg;

use std::fmt::Write;

use autorma_classifier::Limits;
use autorma_models::Manifest;

use crate::decisions::HeldOut;
use crate::metrics::{Metrics, Quality};
use crate::photos::Photos;
use svg::{Line, plot};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1f2937}\
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d1d5db;padding:.2rem .5rem;text-align:right}\
th:first-child,td:first-child{text-align:left}.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{width:26rem}\
svg text{font:11px sans-serif}.axis{fill:none;stroke:#9ca3af}polyline{fill:none;stroke-width:1.6}\
.photos{display:flex;flex-wrap:wrap;gap:.6rem}figure{margin:0;width:7.5rem;font-size:12px}img{height:6rem;max-width:100%;object-fit:contain}";

/// The page.
pub(crate) fn render(
    manifest: &Manifest,
    metrics: &Metrics,
    photos: &Photos,
    held_out: &[HeldOut],
    limits: Limits,
) -> String {
    let title = escaped(&format!("{} {}", manifest.name, manifest.version));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><p>{} variations of each photo{}; {:.0} s. Temperature {}, accepted from {}, unknown from {}.</p>",
        metrics.copies,
        if metrics.is_whole { "" } else { ", less than wanted: training was stopped" },
        metrics.seconds,
        manifest.temperature,
        manifest.thresholds.accept,
        manifest.thresholds.unknown
    );
    html += "<h2>Figures</h2><p>In per cent, with 95 % intervals. Held-out photos were judged by heads that had seen nothing \
             of their contributor or kind of article. \"In floats\" is what the model that ships was quantized from.</p>";
    html += &figures(metrics);
    html += "<h2>Curves</h2><div class=\"plots\">";
    html += &curves(metrics);
    html += "</div>";
    let all = metrics.held_out.first().map(|section| ("held-out photos", &section.quality));
    for (name, quality) in all.into_iter().chain(metrics.test.as_ref().map(|it| ("test photos", it))) {
        let _ = write!(html, "<h2>Confusion, {name}</h2>{}", confusion(&manifest.classes, quality));
    }
    html += "<h2>The worst mistakes</h2>";
    html += &mistakes::render(manifest, photos, held_out, limits);
    if !metrics.failed.is_empty() {
        html += "<h2>Left out</h2><ul>";
        for (path, why) in &metrics.failed {
            let _ = write!(html, "<li>{}: {}</li>", escaped(path), escaped(why));
        }
        html += "</ul>";
    }
    html + "</html>\n"
}

fn figures(metrics: &Metrics) -> String {
    let mut table = "<table><tr><th>photos<th>of the classes<th>right<th>right of accepted<th>unknown<th>calibration error\
                     <th>of none<th>found unknown</tr>"
        .to_owned();
    for (name, quality) in metrics.rows() {
        let strangers = quality.strangers.map(|it| it.decisions.unknown);
        let _ = write!(
            table,
            "<tr><td>{name}<td>{}<td>{}<td>{}<td>{}<td>{:.3}<td>{}<td>{}</tr>",
            quality.accuracy.of,
            quality.accuracy,
            quality.accuracy_of_accepted,
            quality.decisions.unknown,
            quality.calibration_error,
            strangers.map_or(0, |it| it.of),
            strangers.map_or_else(|| "none".into(), |it| it.to_string())
        );
    }
    table + "</table>"
}

fn curves(metrics: &Metrics) -> String {
    let losses = (1..).zip(&metrics.losses).map(|(iteration, loss)| (f64::from(iteration), *loss));
    let loss = plot("iteration", "loss", &[Line { name: "shipped head", points: losses.collect() }]);
    let errors = |of: fn(&crate::UnknownErrors) -> f64| -> Vec<_> {
        metrics.unknown_errors.iter().map(|it| (it.threshold, of(it))).collect()
    };
    let unknown = plot(
        "threshold for unknown",
        "share of photos",
        &[
            Line { name: "of the classes, called unknown", points: errors(|it| it.refused) },
            Line { name: "the same, from contributors", points: errors(|it| it.refused_contributed) },
            Line { name: "of none, not called unknown", points: errors(|it| it.missed) },
        ],
    );
    let reliability = metrics.held_out.first().map_or_else(String::new, |section| {
        let bins = section.quality.reliability.iter().filter(|bin| bin.photos > 0);
        let points = bins.map(|bin| (bin.confidence, bin.accuracy)).collect();
        let ideal = vec![(0.0, 0.0), (1.0, 1.0)];
        plot(
            "confidence",
            "share that is right",
            &[Line { name: "held-out photos", points }, Line { name: "ideal", points: ideal }],
        )
    });
    loss + &unknown + &reliability
}

/// A row a class, a column for what was taken for it.
fn confusion(classes: &[String], quality: &Quality) -> String {
    let names: String = classes.iter().map(|class| format!("<th>{}", escaped(class))).collect();
    let mut table = format!("<table><tr><th>is \\ named{names}</tr>");
    for (class, row) in classes.iter().zip(&quality.confusion) {
        let cells: String = row.iter().map(|count| format!("<td>{count}")).collect();
        let _ = write!(table, "<tr><th>{}{cells}</tr>", escaped(class));
    }
    table + "</table>"
}

/// As text in a page, or in an attribute: a file's name may hold anything.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        c if c.is_control() => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_name_plays_with_the_page() {
        assert_eq!(escaped("a<b>&\"\n.jpg"), "a&lt;b&gt;&amp;&quot;\\u{a}.jpg");
    }
}
