use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use autorma_evaluation::{Figures, NotJudged};
use autorma_models::Thresholds;
use autorma_models::registry::{Registry, Source};
use autorma_training::{Component, Ensemble};
use serde::Serialize;

use crate::args::EnsembleArgs;
use crate::configuration::Configuration;
use crate::evaluate::{Examiner, not_judged};
use crate::exit;
use crate::output::tell;
use crate::table::printable;
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
    /// The models whose references are lost, without which it is made, and why.
    reference_problems: Vec<String>,
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
    let (components, reference_problems) = components(registry, args)?;
    let mut ensemble = Ensemble::of(&components)?;
    let judgement = Examiner::new(configuration, &args.photos, &ensemble.model)?.ask(&ensemble.model)?;
    ensemble.calibrate(&judgement, &targets)?;
    ensemble.write(&args.output)?;
    let manifest = &ensemble.model.manifest;
    let failed = Figures::of(manifest, &judgement).failed;
    let made = Made {
        model: args.output.clone(),
        sha256: manifest.sha256(),
        shares: manifest.shares(),
        temperature: manifest.temperature,
        thresholds: manifest.thresholds,
        photos: judgement.judged.len() - failed.len(),
        failed,
        reference_problems,
    };
    tell(args.json.json, &made, Made::text)?;
    Ok(exit::all_or_not(made.failed.is_empty() && made.reference_problems.is_empty()))
}

/// The models, and what is wrong with references of theirs: whoever has lost one goes on without it.
fn components(registry: &dyn Registry, args: &EnsembleArgs) -> anyhow::Result<(Vec<Component>, Vec<String>)> {
    let weights = if args.weights.is_empty() { vec![1.0; args.models.len()] } else { args.weights.clone() };
    if weights.len() != args.models.len() {
        let weights = counted(weights.len(), "weight");
        bail!("{} models and {weights}: each model has one", args.models.len());
    }
    let mut problems = Vec::new();
    let components = args.models.iter().zip(weights).map(|(called, weight)| {
        let (mut model, reference) = Source::meant(called).load_with_reference(registry)?;
        let reference = reference.unwrap_or_else(|error| {
            problems.push(format!("{called}: {error}"));
            model.manifest.members.iter_mut().for_each(|member| member.reference = None);
            None
        });
        Ok(Component { called: called.clone(), model, reference, weight })
    });
    let components = components.collect::<anyhow::Result<_>>()?;
    Ok((components, problems))
}

impl Made {
    fn text(&self) -> String {
        let Self { model, temperature, thresholds, photos, failed, reference_problems, .. } = self;
        let Thresholds { accept, unknown } = thresholds;
        let accept = if thresholds.accepts() { format!("from {accept}") } else { "nothing".into() };
        let lost = reference_problems.iter();
        let lost: String = lost.map(|it| format!("without the reference of {}\n", printable(it))).collect();
        format!(
            "Temperature {temperature}, accept {accept}, unknown from {unknown}: chosen by {}.\n{}{lost}Model: {}\n",
            counted(*photos, "photo"),
            not_judged::lines(failed),
            model.display()
        )
    }
}
