use std::path::PathBuf;

use anyhow::bail;
use autorma_models::Thresholds;
use autorma_models::registry::{Registry, Source};
use autorma_training::{Component, Ensemble};
use serde::Serialize;

use crate::args::EnsembleArgs;
use crate::configuration::Configuration;
use crate::evaluate::Examiner;
use crate::inspect::json_text;
use crate::train::recipe;
use crate::words::counted;

/// An ensemble that was made.
#[derive(Debug, Serialize)]
struct Made {
    model: PathBuf,
    sha256: String,
    /// The share of each member.
    shares: Vec<f64>,
    temperature: f64,
    thresholds: Thresholds,
    /// How many photos they were chosen by.
    photos: usize,
}

/// `autorma models ensemble`.
pub(super) fn make(
    configuration: &Configuration,
    registry: &dyn Registry,
    args: &EnsembleArgs,
) -> anyhow::Result<String> {
    // Said before the photos are looked at, which takes its time.
    Ensemble::check_place(&args.output)?;
    let targets = recipe(args.recipe.as_deref())?.targets;
    let mut ensemble = Ensemble::of(&components(registry, args)?)?;
    let judgement = Examiner::new(configuration, &args.photos, &ensemble.model)?.ask(&ensemble.model)?;
    ensemble.calibrate(&judgement, &targets)?;
    ensemble.write(&args.output)?;
    let manifest = &ensemble.model.manifest;
    let made = Made {
        model: args.output.clone(),
        sha256: manifest.sha256(),
        shares: manifest.shares(),
        temperature: manifest.temperature,
        thresholds: manifest.thresholds,
        photos: judgement.judged.iter().filter(|(_, judged)| judged.is_ok()).count(),
    };
    if args.json.json { json_text(&made) } else { Ok(made.text()) }
}

fn components(registry: &dyn Registry, args: &EnsembleArgs) -> anyhow::Result<Vec<Component>> {
    let weights = if args.weights.is_empty() { vec![1.0; args.models.len()] } else { args.weights.clone() };
    if weights.len() != args.models.len() {
        bail!("{} models and {} weights: each has one", args.models.len(), weights.len());
    }
    let components = args.models.iter().zip(weights).map(|(model, weight)| {
        // An alias that moves now gives no model another one's reference.
        let source = Source::meant(model).pinned(registry)?;
        Ok(Component { model: source.load(registry)?, reference: source.reference(registry)?, weight })
    });
    components.collect()
}

impl Made {
    fn text(&self) -> String {
        let Self { model, temperature, thresholds, photos, .. } = self;
        let Thresholds { accept, unknown } = thresholds;
        let accept = if thresholds.accepts() { format!("from {accept}") } else { "nothing".into() };
        format!(
            "Temperature {temperature}, accept {accept}, unknown from {unknown}: chosen by {}.\nModel: {}\n",
            counted(*photos, "photo"),
            model.display()
        )
    }
}
