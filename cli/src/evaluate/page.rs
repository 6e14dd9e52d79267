//! The report as one HTML page, which needs nothing beside it.

use autorma_evaluation::page::{Line, confusion, escaped, list, page, plot, reliability, table};
use autorma_evaluation::{Figures, UnknownErrors};

use super::report::{Report, class_rows, difference, name, rows};

/// One of the models that were asked about the same photos.
struct Asked<'a> {
    called: &'static str,
    figures: &'a Figures,
}

/// The page.
pub(super) fn render(report: &Report) -> String {
    let asked = asked(report);
    let sections = asked.iter().map(|it| section(&report.classes, it));
    let body = introduction(report) + &figures(&asked) + &differences(report) + &sections.collect::<String>();
    page(&format!("How good {} is", name(&report.model)), &body)
}

fn asked(report: &Report) -> Vec<Asked<'_>> {
    let model = Asked { called: "the model", figures: &report.figures };
    let other = report.against.iter().map(|it| Asked { called: "the other", figures: &it.figures });
    let reference = report.reference.iter().map(|it| Asked { called: "its reference", figures: &it.figures });
    std::iter::once(model).chain(other).chain(reference).collect()
}

fn introduction(report: &Report) -> String {
    let Report { model, precision, figures, .. } = report;
    let strangers = figures.strangers.map_or(0, |it| it.decisions.unknown.of);
    let mut sentences = vec![
        format!("The model, {}, computes in {precision}; SHA-256 {}.", name(model), model.sha256),
        format!("It was asked about {} photos of the classes and {strangers} of none.", figures.accuracy.of),
        "Shares are in per cent, with their 95 % intervals.".into(),
    ];
    if let Some(other) = &report.against {
        sentences.push(format!("The other is {}; SHA-256 {}.", name(&other.model), other.model.sha256));
    }
    if let Some(reference) = &report.reference {
        sentences.push(format!("Its reference is what it was quantized from, in {}.", reference.precision));
    }
    format!("<p>{}</p>", escaped(&sentences.join(" ")))
}

/// The figures that are one number each, a column a model.
fn figures(asked: &[Asked<'_>]) -> String {
    let names: Vec<_> = std::iter::once("").chain(asked.iter().map(|it| it.called)).collect();
    let columns: Vec<_> = asked.iter().map(|it| rows(it.figures)).collect();
    let row = |number: usize| {
        let what = columns[0][number].0.clone();
        std::iter::once(what).chain(columns.iter().map(|rows| rows[number].1.clone())).collect()
    };
    format!("<h2>Figures</h2>{}", table(&names, (0..columns[0].len()).map(row)))
}

fn differences(report: &Report) -> String {
    let other = report.against.iter().map(|it| ("the other", &it.comparison, it.speed));
    let reference = report.reference.iter().map(|it| ("its reference", &it.comparison, it.speed));
    let told = other.chain(reference).map(|(called, comparison, speed)| {
        let difference = difference(comparison, speed, "the model", called);
        format!("<h2>The model and {called}</h2><p>{difference}</p>")
    });
    told.collect()
}

fn section(classes: &[String], Asked { called, figures }: &Asked<'_>) -> String {
    let by_class =
        table(&["class", "precision", "recall", "F1", "photos"], class_rows(figures).map(Vec::from));
    let mut html =
        format!("<h2>The classes, by {called}</h2>{by_class}{}", confusion(classes, &figures.confusion));
    html += &format!(
        "<h2>What a probability is worth, by {called}</h2><p>Expected calibration error {:.4}. Each bar has the number of \
         its photos at its foot.</p><div class=\"plots\">{}{}</div>",
        figures.calibration_error,
        reliability(&figures.reliability),
        unknowns(figures)
    );
    if !figures.failed.is_empty() {
        html += &format!("<h2>Not judged by {called}</h2>{}", list(&figures.failed));
    }
    html
}

/// Both errors of the threshold for unknown, where there are photos of none of the classes.
fn unknowns(figures: &Figures) -> String {
    if figures.unknown_errors.is_empty() {
        return String::new();
    }
    let points = |error: fn(&UnknownErrors) -> f64| {
        figures.unknown_errors.iter().map(|it| (it.threshold, error(it))).collect()
    };
    plot(
        "threshold for unknown",
        "share of photos",
        &[
            Line { name: "of the classes, called unknown", points: points(|it| it.refused) },
            Line { name: "of none, not called unknown", points: points(|it| it.missed) },
        ],
    )
}

#[cfg(test)]
mod tests {
    use autorma_evaluation::{Bin, ClassFigures, Comparison, Decisions, Share, Strangers};
    use autorma_schemas::ModelVersion;

    use super::super::report::{Compared, HeldAgainst};
    use super::*;

    fn model(version: &str) -> ModelVersion {
        ModelVersion { name: "<b>goods".into(), version: version.into(), sha256: "ab".repeat(32) }
    }

    /// Of a model that is right about so many of ten.
    fn figures(right: usize) -> Figures {
        let (hits, all) = (Share::of(right, 10), Share::of(10, 10));
        let decisions = Decisions { accept: hits, review: all, unknown: hits };
        let class = |name: &str| ClassFigures { class: name.into(), precision: all, recall: hits, f1: None };
        Figures {
            accuracy: hits,
            accuracy_of_accepted: all,
            classes: vec![class("shirts"), class("<i>tops")],
            confusion: vec![vec![right, 10 - right], vec![0, 0]],
            calibration_error: 0.1234,
            reliability: vec![Bin { from: 0.0, photos: 31, confidence: 0.75, accuracy: 0.5 }],
            decisions,
            strangers: Some(Strangers { decisions, auroc: Some(0.875) }),
            unknown_errors: UnknownErrors::curve(&[0.1, 0.2], &[0.8]),
            photos_per_second: 25.0,
            threads: 2,
            failed: vec![("<u>.jpg".into(), "not a \"picture\"".into())],
        }
    }

    fn comparison(p: f64) -> Comparison {
        Comparison { both: 4, only_first: 3, only_second: 2, neither: 1, agree: Share::of(9, 10), p }
    }

    fn report() -> Report {
        Report {
            model: model("1"),
            precision: "int8".into(),
            classes: vec!["shirts".into(), "<i>tops".into()],
            figures: figures(9),
            reference: None,
            against: None,
        }
    }

    #[test]
    fn a_page_has_every_figure_and_no_name_plays_with_it() {
        let html = render(&report());
        for expected in [
            "90.0 (59.6–98.2)",
            "0.1234",
            "0.8750",
            "25.0 on 2 threads",
            "<td>&lt;i&gt;tops",
            "<td>shirts<td>9<td>1",
            "abab",
            ">31</text>",
            "of none, not called unknown",
            "&lt;u&gt;.jpg: not a &quot;picture&quot;",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        let hostile = ["<b>", "<i>", "<u>"];
        assert!(!hostile.iter().any(|tag| html.contains(tag)) && !html.contains("McNemar"), "{html}");
        assert!(!html.contains("http") && !html.contains("<script"), "it needs nothing beside it: {html}");
    }

    #[test]
    fn who_is_compared_stands_beside_the_model() {
        let against =
            Compared { model: model("2"), figures: figures(8), comparison: comparison(0.125), speed: 0.75 };
        let reference = HeldAgainst {
            precision: "fp32".into(),
            figures: figures(7),
            comparison: comparison(0.25),
            speed: 2.5,
        };
        let html = render(&Report { reference: Some(reference), against: Some(against), ..report() });
        assert!(html.contains("<th>the model<th>the other<th>its reference"), "{html}");
        let accuracy = [9, 8, 7].map(|right| format!("<td>{}", Share::of(right, 10))).concat();
        assert!(html.contains(&format!("<td>accuracy{accuracy}")), "{html}");
        for expected in [
            "only the other 2",
            "only its reference 2",
            "0.125 (McNemar)",
            "0.250 (McNemar)",
            "0.75 times as fast as the other",
            "2.50 times as fast as its reference",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        assert_eq!(html.matches("class=\"bar\"").count(), 3);
    }

    #[test]
    fn without_photos_of_none_there_is_no_curve_of_them() {
        let mut report = report();
        (report.figures.strangers, report.figures.unknown_errors) = (None, Vec::new());
        assert!(!render(&report).contains("<polyline"));
    }
}
