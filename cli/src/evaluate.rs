//! `autorma evaluate`: how good a model is.

#[cfg(test)]
mod fixtures;
pub(crate) mod not_judged;
mod page;
mod report;
mod unfinished;

use std::process::ExitCode;

use anyhow::bail;
use autorma_classifier::Runtime;
use autorma_evaluation::{Comparison, DataSet, Figures, Judgement, UNREAD, judge, speed};
use autorma_models::Model;
use autorma_models::registry::Source;

use crate::args::{EvaluateArgs, Photos};
use crate::configuration::Configuration;
use crate::exit;
use crate::output::tell;
use crate::progress;
use crate::table::printable;
use report::{Beside, Compared, HeldAgainst, Report};
use unfinished::Unfinished;

/// Asks models about photos whose labels are known.
#[derive(Debug)]
pub(crate) struct Examiner<'a> {
    configuration: &'a Configuration,
    runtime: Runtime,
    set: DataSet,
}

impl<'a> Examiner<'a> {
    /// With the photos, as this model's classes name them.
    pub(crate) fn new(
        configuration: &'a Configuration,
        photos: &Photos,
        model: &Model,
    ) -> anyhow::Result<Self> {
        let classes = &model.manifest.classes;
        let set = DataSet::read(classes, &photos.data, &photos.unknown)?;
        for path in &set.loose {
            tracing::warn!(?path, "left out: a photo in no folder of a class, or a link to a folder");
        }
        if let Some(first) = set.unread.first() {
            tracing::warn!(pictures = set.unread.len(), ?first, "left out: {UNREAD}");
        }
        for class in set.missing(classes.len()) {
            tracing::warn!(
                class = classes[class],
                "there is no photo of this class: nothing is found out about it"
            );
        }
        let runtime = Runtime::load(&configuration.classifier.runtime)?;
        Ok(Self { configuration, runtime, set })
    }

    /// What the model says of all of them, once it has been tried: it may be anybody's. Shows how far it is.
    pub(crate) fn ask(&self, model: &Model) -> anyhow::Result<Judgement> {
        let config = &self.configuration.classifier;
        config.try_out(model, None)?;
        let bar = progress::bar("version {msg} {bar:30} {pos} of {len} photos · {eta} left");
        bar.set_length(self.set.photos.len() as u64);
        bar.set_message(printable(&model.manifest.version));
        let heard = |done: usize| bar.set_position(done as u64);
        let judgement = judge(&self.runtime, model, &self.set, config.limits, config.workers, heard);
        bar.finish_and_clear();
        Ok(judgement?)
    }

    /// How good it is on them.
    pub(crate) fn figures(&self, model: &Model) -> anyhow::Result<Figures> {
        Ok(Figures::of(&model.manifest, &self.ask(model)?))
    }

    /// How many times as fast as the second model the first is; None if no photo has a verdict of both, as was said when they
    /// were asked, or none of these photos is there any more.
    pub(crate) fn speed(&self, models: [(&Model, &Judgement); 2]) -> anyhow::Result<Option<f64>> {
        Ok(speed(&self.runtime, models, &self.set, self.configuration.classifier.limits)?)
    }
}

/// `autorma evaluate`.
pub(crate) fn run(configuration: &Configuration, args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let registry = &*configuration.registry()?;
    let (model, reference) = configuration.classifier.model.load_with_reference(registry)?;
    let other = args.against.as_deref().map(|it| Source::meant(it).load(registry)).transpose()?;
    if other.as_ref().is_some_and(|other| other.manifest.classes != model.manifest.classes) {
        bail!("the two models know different classes: there is nothing to compare");
    }
    let examiner = Examiner::new(configuration, &args.photos, &model)?;
    let file = args.report.as_deref().map(Unfinished::create).transpose()?;
    let judgement = examiner.ask(&model)?;
    let against = match other {
        None => None,
        Some(other) => {
            let beside = beside(&examiner, &model, &judgement, &other)?;
            Some(Compared { model: other.manifest.identity(), beside })
        }
    };
    let figures = Figures::of(&model.manifest, &judgement);
    // It serves nobody: the model is what it is without it.
    let held = reference.map_err(anyhow::Error::from).and_then(|reference| {
        reference.map(|it| held_against(&examiner, &model, &judgement, &it)).transpose()
    });
    let (reference, reference_problem) = match held {
        Ok(reference) => (reference, None),
        // ONNX Runtime says some things in several lines.
        Err(error) => (None, Some(format!("{error:#}").replace('\n', " "))),
    };
    let (classes, precision) = (model.manifest.classes.clone(), model.manifest.precision());
    let report = Report {
        model: model.manifest.identity(),
        precision,
        classes,
        figures,
        reference,
        reference_problem,
        against,
    };
    if let Some(file) = file {
        file.finish(&page::render(&report))?;
    }
    tell(args.json.json, &report, Report::to_string)?;
    Ok(exit::all_or_not(report.is_whole()))
}

/// The model beside what it was quantized from.
fn held_against(
    examiner: &Examiner<'_>,
    model: &Model,
    judgement: &Judgement,
    reference: &Model,
) -> anyhow::Result<HeldAgainst> {
    let beside = beside(examiner, model, judgement, reference)?;
    Ok(HeldAgainst { precision: reference.manifest.precision(), beside })
}

/// What another model says of the photos, how the two differ, and how many times as fast the first is.
fn beside(
    examiner: &Examiner<'_>,
    model: &Model,
    judgement: &Judgement,
    other: &Model,
) -> anyhow::Result<Beside> {
    let second = examiner.ask(other)?;
    let comparison = Comparison::of(&model.manifest.classes, judgement, &second);
    // Each was asked when the machine may have been busy with something else: that says little of how fast it is.
    let speed = examiner.speed([(model, judgement), (other, &second)])?;
    Ok(Beside { figures: Figures::of(&other.manifest, &second), comparison, speed })
}
