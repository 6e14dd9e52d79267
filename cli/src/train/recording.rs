//! What a training has come to, recorded on the MLflow server that is configured. `docs/mlflow.md` lists the names.

use std::path::{Path, PathBuf};

use anyhow::Context;
use autorma_models::registry::{Figure, Location, MlflowRegistry, Recorded, Recording};
use autorma_models::{Manifest, Model};
use autorma_schemas::Micros;
use autorma_training::{Metrics, Quality};

use crate::args::{TrainArgs, user};
use crate::configuration::Configuration;
use crate::table::flattened;

/// The server, if one is configured; it isn't asked anything yet.
pub(super) fn server(configuration: &Configuration) -> anyhow::Result<Option<MlflowRegistry>> {
    match &configuration.classifier.registry {
        Location::Folder(_) => Ok(None),
        Location::Mlflow(server, cache) => Ok(Some(MlflowRegistry::new(server.clone(), cache)?)),
    }
}

/// Records the training. Where that can't be done it is a warning: the run folder has all of it.
pub(super) fn record(server: &MlflowRegistry, metrics: &Metrics, args: &TrainArgs) -> Option<Recorded> {
    let recorded = recording(metrics, args).and_then(|recording| Ok(server.record(&recording)?));
    let warn = |error: &anyhow::Error| {
        let folder = args.output.display();
        tracing::warn!(
            error = %format_args!("{error:#}"),
            "the training is whole, in {folder}, but not recorded on the MLflow server: once that is mended, the same \
             command records it"
        );
    };
    recorded.inspect_err(warn).ok()
}

fn recording(metrics: &Metrics, args: &TrainArgs) -> anyhow::Result<Recording> {
    let folder = &args.output;
    let long_ago = (metrics.seconds * 1e6) as i64;
    Ok(Recording {
        name: name(folder),
        by: user(),
        begun: Micros(Micros::now().0 - long_ago),
        parameters: parameters(metrics)?,
        figures: figures(metrics),
        tags: tags(metrics, args, &Model::manifest(&metrics.model)?),
        model: metrics.model.clone(),
        files: ["report.html", "metrics.json", "train.toml", "model/CARD.md"]
            .map(|file| (file, folder.join(file)))
            .into(),
    })
}

/// The run folder's own name, by which whoever trained knows it.
fn name(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| "train".into(), |name| name.to_string_lossy().into_owned())
}

/// The recipe, flattened: `head.l2`.
fn parameters(metrics: &Metrics) -> anyhow::Result<Vec<(String, String)>> {
    // Through its text: a value would have 0.35 of a narrow float with all the digits that a wide one has.
    let recipe = serde_json::from_str(&serde_json::to_string(&metrics.recipe)?).context("the recipe")?;
    Ok(flattened(&recipe))
}

/// The head's curve and the tuning's, then what was measured in the end.
fn figures(metrics: &Metrics) -> Vec<Figure> {
    let mut all = Vec::new();
    for (name, losses) in [("loss", &metrics.losses), ("tuning.loss", &metrics.tuning_losses)] {
        let figure = |(step, value): (usize, &f64)| Figure { name: name.into(), step, value: *value };
        all.extend((1..).zip(losses).map(figure));
    }
    let mut add = |name: String, value| all.push(Figure { name, step: 0, value });
    add("temperature".into(), metrics.temperature);
    add("threshold.accept".into(), metrics.thresholds.accept);
    add("threshold.unknown".into(), metrics.thresholds.unknown);
    add("copies".into(), metrics.copies.into());
    add("left_out".into(), metrics.failed.len() as f64);
    add("seconds".into(), metrics.seconds);
    for (photos, quality) in metrics.rows() {
        let photos = set(&photos);
        for (what, value) in measured(quality) {
            add(format!("{photos}/{what}"), value);
        }
    }
    all.retain(|figure| figure.value.is_finite());
    all
}

/// A set of photos as MLflow groups its figures: "in floats, held out: all" is `floats.held_out`.
fn set(row: &str) -> String {
    let (model, photos) = row.strip_prefix("in floats, ").map_or(("", row), |photos| ("floats.", photos));
    match photos.strip_prefix("held out: ") {
        Some("all") => format!("{model}held_out"),
        Some(section) => format!("{model}held_out.{}", section.replace(' ', "_")),
        None => format!("{model}{photos}"),
    }
}

/// What there was to measure.
fn measured(quality: &Quality) -> Vec<(&'static str, f64)> {
    let Quality { accuracy, accuracy_of_accepted, decisions, strangers, calibration_error, .. } = quality;
    let found = strangers.as_ref().map(|it| it.decisions.unknown);
    let shares = [
        ("accuracy", Some(*accuracy)),
        ("accuracy_of_accepted", Some(*accuracy_of_accepted)),
        ("refused", Some(decisions.unknown)),
        ("found_unknown", found),
    ];
    let shares =
        shares.into_iter().filter_map(|(name, share)| Some((name, share.filter(|it| it.of > 0)?.share)));
    let calibration = calibration_error.map(|error| ("calibration_error", error));
    shares.chain(calibration).collect()
}

fn tags(metrics: &Metrics, args: &TrainArgs, manifest: &Manifest) -> Vec<(&'static str, String)> {
    let folders = |folders: &[PathBuf]| -> String {
        let lines: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        lines.join("\n")
    };
    let origin: Vec<_> = manifest.origin.iter().map(|(what, text)| format!("{what}: {text}")).collect();
    vec![
        ("autorma.version", env!("CARGO_PKG_VERSION").into()),
        ("autorma.data", folders(&args.data)),
        ("autorma.other", folders(&args.other)),
        ("autorma.backgrounds", folders(&args.backgrounds)),
        ("autorma.origin", origin.join("\n")),
        ("autorma.licence", manifest.licence.clone()),
        ("autorma.is_whole", metrics.is_whole.to_string()),
        ("autorma.is_tuned", metrics.is_tuned.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use autorma_training::Recipe;
    use serde_json::json;

    use super::{flattened, set};

    #[test]
    fn names_are_those_of_the_recipe_and_sets_have_names_that_mlflow_takes() {
        let recipe = serde_json::from_str(&serde_json::to_string(&Recipe::default()).unwrap()).unwrap();
        let all = flattened(&recipe);
        for (name, value) in [
            ("name", "refund-classifier"),
            ("precision", "int8"),
            ("head.l2", "0.01"),
            ("augmentation.light", "0.35"),
            ("tuning.rate", "0.00025"),
        ] {
            assert!(all.contains(&(name.into(), value.into())), "{name} = {value}: {all:?}");
        }
        assert!(flattened(&json!({})).is_empty());
        for (row, name) in [
            ("held out: all", "held_out"),
            ("held out: contributors", "held_out.contributors"),
            ("held out: others of learned kinds", "held_out.others_of_learned_kinds"),
            ("test", "test"),
            ("in floats, held out: all", "floats.held_out"),
            ("in floats, test", "floats.test"),
        ] {
            assert_eq!(set(row), name);
        }
    }
}
