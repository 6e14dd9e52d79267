//! The report as one HTML page, which needs nothing beside it.

use autorma_evaluation::page::{Line, confusion, escaped, list, page, plot, reliability, table};
use autorma_evaluation::{Figures, UnknownErrors};

use super::report::{Beside, Report, calibration_error, class_rows, folder_row, rows};
use crate::words::model_name;

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
    page(&format!("How good {} is", model_name(&report.model)), &body)
}

fn asked(report: &Report) -> Vec<Asked<'_>> {
    let model = Asked { called: "the model", figures: &report.figures };
    let others = others(report).map(|(called, it)| Asked { called, figures: &it.figures });
    std::iter::once(model).chain(others).collect()
}

/// What stands beside the model, as it is called.
fn others(report: &Report) -> impl Iterator<Item = (&'static str, &Beside)> {
    let other = report.against.iter().map(|it| ("the other", &it.beside));
    other.chain(report.reference.iter().map(|it| ("its reference", &it.beside)))
}

fn introduction(report: &Report) -> String {
    let Report { model, precision, figures, .. } = report;
    let strangers = figures.strangers.as_ref().map_or(0, |it| it.decisions.unknown.of);
    let mut sentences = vec![
        format!("The model, {}, computes in {precision}; SHA-256 {}.", model_name(model), model.sha256),
        format!("It was asked about {} photos of the classes and {strangers} of none.", figures.accuracy.of),
        "Shares are in per cent, with their 95 % intervals.".into(),
    ];
    if let Some(other) = &report.against {
        sentences.push(format!("The other is {}; SHA-256 {}.", model_name(&other.model), other.model.sha256));
    }
    if let Some(reference) = &report.reference {
        sentences.push(format!("Its reference is what it was quantized from, in {}.", reference.precision));
    }
    if let Some(problem) = &report.reference_problem {
        sentences.push(format!("What it was quantized from can't be asked: {problem}."));
    }
    format!("<p>{}</p>", escaped(&sentences.join(" ")))
}

/// The figures that are one number each, a column a model.
fn figures(asked: &[Asked<'_>]) -> String {
    let names: Vec<_> = std::iter::once("").chain(asked.iter().map(|it| it.called)).collect();
    let figures: Vec<_> = asked.iter().map(|it| it.figures).collect();
    format!("<h2>Figures</h2>{}", table(&names, rows(&figures)))
}

fn differences(report: &Report) -> String {
    let told = others(report).map(|(called, it)| {
        format!("<h2>The model and {called}</h2><p>{}</p>", it.difference("the model", called))
    });
    told.collect()
}

fn section(classes: &[String], Asked { called, figures }: &Asked<'_>) -> String {
    let by_class =
        table(&["class", "precision", "recall", "F1", "photos"], class_rows(figures).map(Vec::from));
    let mut html =
        format!("<h2>The classes, by {called}</h2>{by_class}{}", confusion(classes, &figures.confusion));
    html += &format!(
        "<h2>What a probability is worth, by {called}</h2><p>Expected calibration error: {}. Each bar has the number of its \
         photos at its foot.</p><div class=\"plots\">{}{}</div>",
        calibration_error(figures),
        reliability(&figures.reliability),
        unknowns(figures)
    );
    if let Some(strangers) = figures.strangers.as_ref().filter(|it| it.folders.len() > 1) {
        let rows = strangers.folders.iter().map(|folder| folder_row(folder).into());
        let columns = ["folder", "unknown", "accepted", "photos"];
        html += &format!("<h2>None of the classes, by {called}</h2>{}", table(&columns, rows));
    }
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
    use autorma_evaluation::Share;

    use super::super::fixtures::{against, held_against, report};
    use super::*;

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
            "<td>&lt;b&gt;caps",
            "<td>of none: unknown, mean of the folders<td>50.0 (25.0–75.0)",
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
        let (against, reference) = (Some(against("2")), Some(held_against()));
        let html = render(&Report { reference, against, ..report() });
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
    fn a_reference_that_can_t_be_asked_is_told() {
        let reference_problem = Some("<b>lost".into());
        let html = render(&Report { reference_problem, ..report() });
        assert!(html.contains("What it was quantized from can't be asked: &lt;b&gt;lost.</p>"), "{html}");
    }

    #[test]
    fn where_no_photo_is_of_a_class_there_is_no_calibration_error() {
        let mut report = report();
        report.figures.calibration_error = None;
        let html = render(&report);
        assert!(html.contains("Expected calibration error: none."), "{html}");
        assert!(html.contains("<td>expected calibration error<td>none"), "{html}");
        assert_eq!(serde_json::to_value(&report).unwrap()["calibration_error"], serde_json::Value::Null);
    }

    #[test]
    fn without_photos_of_none_there_is_no_curve_of_them() {
        let mut report = report();
        (report.figures.strangers, report.figures.unknown_errors) = (None, Vec::new());
        assert!(!render(&report).contains("<polyline"));
    }
}
