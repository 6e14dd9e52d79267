use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use autorma_evaluation::Figures;
use autorma_models::Thresholds;
use autorma_models::registry::{Registry, Source};
use autorma_training::{Component, Ensemble};
use serde::Serialize;

use crate::args::EnsembleArgs;
use crate::configuration::Configuration;
use crate::evaluate::{Examiner, NotJudged};
use crate::exit;
use crate::output::tell;
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
    /// Those that the ensemble says nothing of.
    failed: Vec<NotJudged>,
}

/// `autorma models ensemble`.
pub(super) fn make(
    configuration: &Configuration,
    registry: &dyn Registry,
    args: &EnsembleArgs,
) -> anyhow::Result<ExitCode> {
    // Said before the photos are looked at, which takes its time.
    Ensemble::check_place(&args.output)?;
    let targets = recipe(args.recipe.as_deref())?.targets;
    let mut ensemble = Ensemble::of(&components(registry, args)?)?;
    let judgement = Examiner::new(configuration, &args.photos, &ensemble.model)?.ask(&ensemble.model)?;
    ensemble.calibrate(&judgement, &targets)?;
    ensemble.write(&args.output)?;
    let manifest = &ensemble.model.manifest;
    let failed: Vec<_> = Figures::of(manifest, &judgement).failed.into_iter().map(NotJudged::from).collect();
    let made = Made {
        model: args.output.clone(),
        sha256: manifest.sha256(),
        shares: manifest.shares(),
        temperature: manifest.temperature,
        thresholds: manifest.thresholds,
        photos: judgement.judged.len() - failed.len(),
        failed,
    };
    tell(args.json.json, &made, Made::text)?;
    Ok(exit::all_or_not(made.failed.is_empty()))
}

fn components(registry: &dyn Registry, args: &EnsembleArgs) -> anyhow::Result<Vec<Component>> {
    let weights = if args.weights.is_empty() { vec![1.0; args.models.len()] } else { args.weights.clone() };
    if weights.len() != args.models.len() {
        let weights = counted(weights.len(), "weight");
        bail!("{} models and {weights}: each model has one", args.models.len());
    }
    let components = args.models.iter().zip(weights).map(|(called, weight)| {
        let (model, reference) = Source::meant(called).load_with_reference(registry)?;
        Ok(Component { called: called.clone(), model, reference, weight })
    });
    components.collect()
}

impl Made {
    fn text(&self) -> String {
        let Self { model, temperature, thresholds, photos, failed, .. } = self;
        let Thresholds { accept, unknown } = thresholds;
        let accept = if thresholds.accepts() { format!("from {accept}") } else { "nothing".into() };
        format!(
            "Temperature {temperature}, accept {accept}, unknown from {unknown}: chosen by {}.\n{}Model: {}\n",
            counted(*photos, "photo"),
            NotJudged::lines(failed),
            model.display()
        )
    }
}
