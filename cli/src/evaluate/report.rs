use std::fmt;

use autorma_evaluation::{Comparison, Decisions, Figures, FolderFigures, NotJudged};
use autorma_schemas::ModelVersion;
use serde::Serialize;

use super::not_judged::line;
use crate::table::{Table, printable};
use crate::words::{counted, model_name};

/// What is said of a model.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) model: ModelVersion,
    /// Its arithmetic.
    pub(super) precision: String,
    /// The classes, in the order of the confusion matrix; the figures name them in JSON.
    #[serde(skip)]
    pub(super) classes: Vec<String>,
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// What it was quantized from, on the same photos.
    pub(super) reference: Option<HeldAgainst>,
    /// Why that can't be asked, where there should be one.
    pub(super) reference_problem: Option<String>,
    pub(super) against: Option<Compared>,
}

/// What a model was quantized from.
#[derive(Debug, Serialize)]
pub(super) struct HeldAgainst {
    /// Its arithmetic.
    pub(super) precision: String,
    #[serde(flatten)]
    pub(super) beside: Beside,
}

/// Another model on the same photos.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) model: ModelVersion,
    #[serde(flatten)]
    pub(super) beside: Beside,
}

/// What is said of a model beside the first one, in the comparison the second.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    pub(super) figures: Figures,
    pub(super) comparison: Comparison,
    /// How many times as fast the first model is, photo by photo on one thread; None if no photo that is still there has a
    /// verdict of both.
    pub(super) speed: Option<f64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, classes, figures, against, .. } = self;
        match against {
            None => {
                let main = columns(["", "the model"], &[figures]);
                writeln!(f, "Model: {}\n\n{main}", model_name(model))?;
            }
            Some(other) => {
                let main = columns(["", "first", "second"], &[figures, &other.beside.figures]);
                let names = (model_name(model), model_name(&other.model));
                writeln!(f, "Models: first {}, second {}\n\n{main}", names.0, names.1)?;
            }
        }
        if let Some(other) = against {
            writeln!(f, "{}\n", other.beside.difference("the first", "the second"))?;
        }
        if let Some(reference) = &self.reference {
            writeln!(f, "{}", reference.text(&self.precision, figures))?;
        }
        if let Some(problem) = &self.reference_problem {
            writeln!(f, "Its reference can't be asked: {}\n", printable(problem))?;
        }
        let mut table = Table::new(["class", "precision", "recall", "F1", "photos"]);
        class_rows(figures).for_each(|row| table.row(row));
        writeln!(f, "{table}")?;
        writeln!(f, "{}", confusion(classes, &figures.confusion))?;
        if let Some(strangers) = figures.strangers.as_ref().filter(|it| it.folders.len() > 1) {
            let mut table = Table::new(["none of the classes, in", "unknown", "accepted", "photos"]);
            strangers.folders.iter().for_each(|folder| table.row(folder_row(folder)));
            writeln!(f, "{table}")?;
        }
        let mut bins = Table::new(["confidence from", "photos", "mean", "right"]);
        for bin in figures.reliability.iter().filter(|bin| bin.photos > 0) {
            let numbers =
                [points(bin.from), bin.photos.to_string(), points(bin.confidence), points(bin.accuracy)];
            bins.row(numbers);
        }
        writeln!(f, "{bins}\nShares in per cent, with their 95 % intervals.")?;
        self.failed().try_for_each(|(whom, failed)| f.write_str(&line(whom, failed)))
    }
}

impl Report {
    /// Whether each model could be asked, and has a verdict on each photo.
    pub(super) fn is_whole(&self) -> bool {
        self.reference_problem.is_none() && self.failed().next().is_none()
    }

    /// The photos that a model says nothing of: which model, which photo, and why.
    fn failed(&self) -> impl Iterator<Item = (&'static str, &NotJudged)> {
        let first = if self.against.is_some() { " by the first" } else { "" };
        let second = self.against.iter().map(|it| (" by the second", &it.beside.figures));
        let asked = std::iter::once((first, &self.figures)).chain(second);
        let failed =
            asked.flat_map(|(whom, figures)| figures.failed.iter().map(move |failed| (whom, failed)));
        // A photo that can't be decoded is nobody's in particular.
        let is_told = |it: &&NotJudged| self.figures.failed.iter().any(|told| told.path == it.path);
        let of_reference = self.reference.iter().flat_map(|it| &it.beside.figures.failed);
        let only = of_reference.filter(move |failed| !is_told(failed));
        failed.chain(only.map(|failed| (" by its reference", failed)))
    }
}

impl HeldAgainst {
    /// Beside the model's own figures.
    fn text(&self, precision: &str, figures: &Figures) -> String {
        let mut table = columns(["", "the model", "its reference"], &[figures, &self.beside.figures]);
        table.row(["arithmetic".into(), precision.into(), self.precision.clone()]);
        format!("{table}\n{}\n", self.beside.difference("the model", "its reference"))
    }
}

impl Beside {
    /// How the two, called so, differ on the same photos, and in speed.
    pub(super) fn difference(&self, first: &str, second: &str) -> String {
        let Comparison { both, only_first, only_second, neither, agree, p } = &self.comparison;
        if agree.of == 0 {
            return "Both have judged none of the photos.".into();
        }
        let speed = self.speed.map(|speed| {
            format!(" Taking turns on one thread, {first} is {speed:.2} times as fast as {second}.")
        });
        format!(
            "They say the same of {agree} per cent of the photos. Right: both {both}, only {first} {only_first}, only {second} \
             {only_second}, neither {neither}; by chance they differ so much with a probability of {p:.3} (McNemar).{}",
            speed.unwrap_or_default()
        )
    }
}

/// Each class: its name, precision, recall, F1, and how many photos are of it.
pub(super) fn class_rows(figures: &Figures) -> impl Iterator<Item = [String; 5]> {
    figures.classes.iter().map(|it| {
        let f1 = it.f1.map_or_else(|| "none".into(), |f1| f1.to_string());
        [it.class.clone(), it.precision.to_string(), it.recall.to_string(), f1, it.recall.of.to_string()]
    })
}

/// A folder of what is none of the classes: its name, what is decided about its photos, and how many there are.
pub(super) fn folder_row(folder: &FolderFigures) -> [String; 4] {
    let FolderFigures { folder, unknown, accept } = folder;
    [folder.clone(), unknown.to_string(), accept.to_string(), unknown.of.to_string()]
}

/// The figures of models that were asked about the same photos, a column each.
fn columns<const COLUMNS: usize>(names: [&'static str; COLUMNS], figures: &[&Figures]) -> Table<COLUMNS> {
    let mut table = Table::new(names);
    rows(figures).into_iter().for_each(|row| table.row(std::array::from_fn(|column| row[column].clone())));
    table
}

/// The figures that are one number each: what it is, and its value for each of the models that were asked about the same photos.
/// A model may have no verdict on what the others have one on.
pub(super) fn rows(figures: &[&Figures]) -> Vec<Vec<String>> {
    let columns: Vec<_> = figures.iter().map(|figures| column(figures)).collect();
    let longest = columns.iter().max_by_key(|column| column.len()).into_iter().flatten();
    let value = |column: &Vec<(String, String)>, wanted: &str| {
        let found = column.iter().find(|(what, _)| what == wanted);
        found.map_or_else(|| "none".into(), |(_, value)| value.clone())
    };
    let row = |what: &String| {
        std::iter::once(what.clone()).chain(columns.iter().map(|column| value(column, what))).collect()
    };
    longest.map(|(what, _)| row(what)).collect()
}

fn column(figures: &Figures) -> Vec<(String, String)> {
    let row = |what: &str, value: String| (what.to_owned(), value);
    let mut rows = vec![
        row("accuracy", figures.accuracy.to_string()),
        row("accuracy of the accepted", figures.accuracy_of_accepted.to_string()),
        row("expected calibration error", calibration_error(figures)),
    ];
    let decisions = |rows: &mut Vec<_>, what: &str, decisions: &Decisions| {
        for (name, value) in
            [("accepted", decisions.accept), ("to review", decisions.review), ("unknown", decisions.unknown)]
        {
            rows.push(row(&format!("{what}: {name}"), value.to_string()));
        }
    };
    decisions(&mut rows, "of the classes", &figures.decisions);
    if let Some(strangers) = &figures.strangers {
        decisions(&mut rows, "of none", &strangers.decisions);
        if let Some(mean) = strangers.unknown_by_folder {
            rows.push(row("of none: unknown, mean of the folders", mean.to_string()));
        }
        let auroc = strangers.auroc.map_or_else(|| "none".into(), |auroc| format!("{auroc:.4}"));
        rows.push(row("told apart from the classes (AUROC)", auroc));
    }
    let threads = counted(figures.threads, "thread");
    let speed = format!("{:.1} on {threads}", figures.photos_per_second);
    rows.push(row("photos a second", speed));
    rows
}

/// As a number, if there is one.
pub(super) fn calibration_error(figures: &Figures) -> String {
    figures.calibration_error.map_or_else(|| "none".into(), |error| format!("{error:.4}"))
}

/// A row a class, a column for what was taken for it.
fn confusion(classes: &[String], confusion: &[Vec<usize>]) -> String {
    let classes: Vec<_> = classes.iter().map(|class| printable(class)).collect();
    let width = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(8);
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:>width$}")).collect();
        format!("{name:<width$}{cells}\n")
    };
    let head = line("is \\ named", classes.clone());
    let rows = classes.iter().zip(confusion);
    rows.fold(head, |text, (class, row)| text + &line(class, row.iter().map(ToString::to_string).collect()))
}

fn points(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

#[cfg(test)]
mod tests {
    use autorma_evaluation::Share;
    use serde_json::Value;

    use super::super::fixtures::{against, held_against, model, report};
    use super::*;

    #[test]
    fn a_photo_that_only_the_reference_fails_on_is_told() {
        let mut report = Report { reference: Some(held_against()), ..report() };
        report.figures.failed.clear();
        assert!(!report.is_whole());
        let text = report.to_string();
        assert!(text.ends_with("\nnot judged by its reference: <u>.jpg: not a \"picture\"\n"), "{text}");
        report.reference.as_mut().unwrap().beside.figures.failed.clear();
        assert!(report.is_whole() && !report.to_string().contains("not judged"));
    }

    #[test]
    fn a_reference_that_can_t_be_asked_is_told_and_not_passed_over() {
        let mut report = report();
        report.figures.failed.clear();
        assert!(report.is_whole());
        report.reference_problem = Some("it is lost".into());
        assert!(!report.is_whole());
        assert!(report.to_string().contains("\nIts reference can't be asked: it is lost\n"), "{report}");
        let told = serde_json::to_value(&report).unwrap();
        assert_eq!((&told["reference"], &told["reference_problem"]), (&Value::Null, &"it is lost".into()));
    }

    #[test]
    fn what_only_the_reference_has_no_verdict_on_is_none_for_it() {
        let mut reference = held_against();
        reference.beside.figures.strangers = None;
        let text = Report { reference: Some(reference), ..report() }.to_string();
        let speeds = text.lines().filter(|line| line.starts_with("photos a second")).collect::<Vec<_>>();
        assert!(speeds.iter().all(|line| line.contains("25.0 on 2 threads")), "{text}");
        let mut alone = report();
        alone.figures.threads = 1;
        assert!(alone.to_string().contains("25.0 on 1 thread\n"), "{alone}");
        let told = text.lines().rfind(|line| line.contains("AUROC")).unwrap();
        assert!(told.contains("0.8750") && told.ends_with("none"), "{text}");
        assert!(text.contains("<b>caps"), "folders, too: {text}");
    }

    #[test]
    fn models_whose_speed_can_t_be_told_are_compared_all_the_same() {
        let text = |other: Compared| Report { against: Some(other), ..report() }.to_string();
        let mut speedless = against("2");
        speedless.beside.speed = None;
        let speedless = text(speedless);
        assert!(speedless.contains("Right: both 4") && speedless.contains("(McNemar).\n"), "{speedless}");
        assert!(!speedless.contains("judged none"), "{speedless}");
        let mut nothing = against("2");
        nothing.beside.comparison.agree = Share::of(0, 0);
        assert!(text(nothing).contains("Both have judged none of the photos.\n"));
    }

    #[test]
    fn no_name_in_a_model_plays_with_the_terminal() {
        let (version, class) = ("\u{1b}[2J", "\u{202e}spot");
        let alone =
            Report { model: model(version), classes: vec!["shirts".into(), class.into()], ..report() };
        let beside = Report { against: Some(against(version)), ..report() };
        let (alone, beside) = (alone.to_string(), beside.to_string());
        for text in [&alone, &beside] {
            assert!(text.contains("\\u{1b}[2J") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
        }
        assert!(alone.contains("    shirts  \\u{202e}spot\n"), "columns line up: {alone}");
    }
}
