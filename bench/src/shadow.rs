//! A version that computes along, and images that are split among two: photos a second ÷ those of one version alone.

use std::fs;
use std::path::Path;

use crate::home::Home;
use crate::report::{Report, median};
use crate::root;
use crate::swap::{copy_with_another_temperature, models};
use crate::throughput;

const ALONE: [&str; 2] = ["--model", "refund-classifier@production"];
const SHADOW: [&str; 2] = ["--set", "model.shadow=staging"];
const SPLIT: [&str; 4] = ["--set", "model.split.production=90", "--set", "model.split.staging=10"];

/// The three in turn, `rounds` times.
pub(crate) fn measure(
    photos: &Path,
    folder: &Path,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let (shipped, next) = (root().join("models/shipped").canonicalize()?, folder.join("next"));
    copy_with_another_temperature(&shipped, &next)?;
    for (model, alias) in [(&shipped, "production"), (&next, "staging")] {
        models(folder, &["register", &model.display().to_string(), "--alias", alias])?;
    }
    let registry = format!("registry={}", folder.join("data/registry").display());
    let (mut shadow, mut split) = (vec![], vec![]);
    for round in 1..=rounds {
        let run = |what: &str, settings: &[&str]| {
            eprintln!("round {round}: {what}");
            let flags = [&ALONE[..], &["--set", &registry], settings].concat();
            throughput::run(&Home::Embedded, photos, &folder.join(format!("{what}-{round}")), &flags)
        };
        // Round by round: the machine's own speed changes more from one to the next than within one.
        let alone = run("one version", &[])?;
        shadow.push(alone / run("with a shadow", &SHADOW)?);
        split.push(alone / run("split", &SPLIT)?);
    }
    report.add("throughput_with_a_shadow_to_without", median(&mut shadow), None);
    report.add("throughput_of_a_split_to_one_version", median(&mut split), None);
    Ok(())
}
