use std::iter::once;

use autorma_models::Manifest;

use crate::metrics::{FIGURES, Metrics, STRANGERS};

/// The model's card: what it is, what it learned from, and how good it is, as far as the training knows.
pub(crate) fn render(manifest: &Manifest, metrics: &Metrics) -> String {
    let Manifest { name, version, classes, output, temperature, thresholds, .. } = manifest;
    let kinds = output.unknown.len();
    let sentences = [
        format!("# {name} {version}\n\nWritten by `autorma train`.\n"),
        format!(
            "**What.** Classifies a photo of an article as {}, and says how likely it is none of them. {}, {:.1} MB of ONNX: a \
             backbone that was {}, and a linear head. The output has {} + {kinds} logits: the classes, then \
             kinds of \"none of them\", named in `manifest.json`.\n",
            classes.join(", "),
            manifest.precision().to_uppercase(),
            manifest.bytes() as f64 / 1e6,
            if metrics.is_tuned { "trained by others and tuned here" } else { "not trained here" },
            classes.len(),
        ),
        format!(
            "**From logits to a decision.** `p = softmax(logits / {temperature})` over all. Unknown probability = the sum over \
             the {kinds}. The classes are then scaled to sum to 1; confidence = the best of them. Unknown, if the unknown \
             probability is at least {}; else review{}.\n",
            thresholds.unknown,
            match thresholds.accepts() {
                true => format!(", if the confidence is below {}; else accept", thresholds.accept),
                false => String::new(),
            }
        ),
        format!("## Data\nNumber of photos, by what they are for:\n\n{}", counts(manifest, metrics)),
        format!(
            "Of `train` photos the shipped head has learned, with {} variations of each{}. {} Scenes of all parts \
             but `test` stand behind cut-out articles in what every head learns; only as scenes they are held out. `test` \
             photos were looked at once in this training, by the files that it has written.\n",
            metrics.copies,
            metrics.unfinished(),
            judges(metrics)
        ),
        format!(
            "## Figures\nShares in per cent, with their 95 % intervals (Wilson).{}\n\n{}",
            in_floats(metrics),
            table(&FIGURES, metrics.figures().into_iter().map(Vec::from))
        ),
        format!(
            "Chosen for: of the photos of the classes that no contributor sent (`train` and `val` together) at most {} called \
             unknown, of those that contributors sent at most {}, and at most {} of the accepted wrong. The rows of held-out \
             photos are a little kind: they chose the temperature and both thresholds, and helped to choose the recipe.\n",
            percent(metrics.recipe.targets.refused),
            percent(metrics.recipe.targets.refused_contributed),
            percent(metrics.recipe.targets.wrong)
        ),
        strangers(metrics),
        format!("## Recipe\n\n```toml\n{}```\n", toml::to_string(&metrics.recipe).unwrap_or_default()),
        format!("## Licence and origin\n{}: {}.", manifest.licence, origin(manifest)),
    ];
    sentences.join("\n") + "\n"
}

/// Who has chosen temperature and thresholds.
fn judges(metrics: &Metrics) -> String {
    let folds = metrics.recipe.folds;
    if !metrics.is_tuned {
        return format!(
            "Temperature and thresholds were chosen on `train` and `val` photos, each judged by one of {folds} further heads, \
             which has not learned from its group: its contributor, its look-alikes, or its kind of other article, whoever sent \
             photos of it. (`others of learned kinds` are the `others` again, each judged by a head that has learned further \
             photos of its kind; they chose nothing.)"
        );
    }
    format!(
        "Temperature and thresholds were chosen on {} of {folds} parts of the `train` and `val` photos, each judged by a \
         backbone and head of its own that were tuned without it, so that they have not learned from its groups: its \
         contributors, its look-alikes, or its kinds of other articles, whoever sent photos of them.",
        metrics.recipe.tuning.judged
    )
}

/// A column a class, and one for the rest.
fn counts(manifest: &Manifest, metrics: &Metrics) -> String {
    let classes = manifest.classes.iter().map(String::as_str);
    let names: Vec<_> = once("photos").chain(classes).chain(["none of them"]).collect();
    let rows = metrics.photos.iter().map(|(part, kinds)| {
        let of = |class: &String| kinds.get(class).copied().unwrap_or_default();
        let known: Vec<_> = manifest.classes.iter().map(of).collect();
        let others = kinds.values().sum::<usize>() - known.iter().sum::<usize>();
        let numbers = known.iter().chain([&others]).map(ToString::to_string);
        once(part.clone()).chain(numbers).collect()
    });
    table(&names, rows)
}

/// What is none of the classes, kind by kind; nothing where there is none.
fn strangers(metrics: &Metrics) -> String {
    let rows = metrics.kinds();
    if rows.is_empty() {
        return String::new();
    }
    let names: Vec<_> = once("kind").chain(STRANGERS.map(|(name, _)| name)).collect();
    format!(
        "## Kinds of none of them\nHow many held-out photos of each are found unknown, and of how many. Photos of a kind resemble \
         one another, so how it will be with further kinds is said by the mean of the kinds, with its interval by \
         Student.\n\n{}",
        table(&names, rows.into_iter().map(Vec::from))
    )
}

fn in_floats(metrics: &Metrics) -> String {
    metrics.in_floats.as_ref().map_or_else(String::new, |it| {
        format!(
            " What ships is quantized. \"In floats\" is what it was quantized from ({:.1} MB, beside it), with the same \
             temperature and thresholds.",
            it.bytes as f64 / 1e6
        )
    })
}

/// A table with a line of names above its rows. Names and cells may be those of any folder.
fn table(names: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| {
        let cells: Vec<_> = cells.iter().map(|text| text.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let head = line(names.iter().map(ToString::to_string).collect());
    let rule = "|---".repeat(names.len()) + "|\n";
    head + &rule + &rows.into_iter().map(line).collect::<String>()
}

fn percent(share: f64) -> String {
    // Rounded to what somebody may have written: 0.07 × 100 isn't 7.
    format!("{} %", (share * 1e6).round() / 1e4)
}

fn origin(manifest: &Manifest) -> String {
    let parts: Vec<_> = manifest.origin.iter().map(|(what, text)| format!("{what}: {text}")).collect();
    parts.join("; ")
}
