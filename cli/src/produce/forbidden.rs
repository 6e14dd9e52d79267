use std::path::PathBuf;

use autorma_classifier::is_below;

use crate::configuration::Configuration;
use crate::home::Home;

/// References that a classifier with these settings would refuse are worth a word now.
pub(super) fn warn(configuration: &Configuration, home: &Home, references: &[PathBuf]) -> anyhow::Result<()> {
    if references.is_empty() {
        return Ok(());
    }
    let mut roots = configuration.classifier.roots.clone();
    if roots.is_empty() {
        roots = autorma_classifier::published_folders(&*home.log)?;
    }
    let is_outside = |path: &&PathBuf| path.canonicalize().is_ok_and(|path| !is_below(&path, &roots));
    let outside: Vec<_> = references.iter().filter(is_outside).collect();
    if let Some(first) = outside.first() {
        tracing::warn!(
            files = outside.len(),
            ?first,
            "the classifier may refuse these as forbidden-reference: they are below neither classifier.roots nor a \
             folder that ingest has published from; allow their folder in classifier.roots, beside ingest's own, or send them \
             with --inline"
        );
    }
    Ok(())
}
