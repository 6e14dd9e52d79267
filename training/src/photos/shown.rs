use std::path::Path;

use autorma_evaluation::{DataSet, DataSetError, Label, Labelled, plain};

use super::BACKGROUND;
use super::sources::{Role, Source};
use crate::Error;

/// A photo that was found.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) photo: &'a Labelled,
    /// The folder that it is in.
    pub(super) source: &'a Source,
    /// What it shows.
    pub(super) kind: String,
}

/// What the photos show, in the order of their paths from the folders that were named on, and of these folders.
pub(super) fn shown<'a>(set: &'a DataSet, sources: &'a [Source], classes: &[String]) -> Vec<Shown<'a>> {
    let of = |photo: &'a Labelled| {
        let source = sources.iter().find(|it| photo.path.starts_with(&it.folder))?;
        let kind = match photo.label {
            Label::Class(number) => classes[number].clone(),
            Label::Stranger => stranger(&photo.path, source, classes),
        };
        Some(Shown { photo, source, kind })
    };
    let mut shown: Vec<_> = set.photos.iter().filter_map(of).collect();
    shown.sort_by_cached_key(|it| (it.source.below(&it.photo.path), it.source.number));
    shown
}

/// An error where no photo of none of the classes is in a folder that should have one.
pub(super) fn each_has_strangers(sources: &[Source], shown: &[Shown<'_>]) -> Result<(), Error> {
    let has_some = |side: &Source| {
        let mut strangers = shown.iter().map(|it| it.photo).filter(|it| it.label == Label::Stranger);
        strangers.any(|photo| photo.path.starts_with(&side.folder))
    };
    for Source { folder, number, .. } in sources.iter().filter(|it| it.role != Role::Data) {
        // Of a split one side may be empty.
        if !sources.iter().any(|side| side.number == *number && has_some(side)) {
            return Err(DataSetError::NoStranger(folder.clone()).into());
        }
    }
    Ok(())
}

/// Whether a folder of this name holds scenes.
fn is_of_scenes(name: &str) -> bool {
    [BACKGROUND, "backgrounds"].contains(&name)
}

/// What a photo of none of the classes shows, by the folder that it is in.
fn stranger(path: &Path, source: &Source, classes: &[String]) -> String {
    let inside = path.strip_prefix(&source.folder).unwrap_or(path);
    let mut names = inside
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .map(|it| plain(&it.as_os_str().to_string_lossy()));
    let mut name = match source.role {
        Role::Backgrounds => BACKGROUND.to_owned(),
        Role::Other => names.next().unwrap_or_else(|| "other".into()),
        // `other/caps/1.jpg`: what is a folder of its own in there is a kind of its own.
        Role::Data => {
            let outer = names.next().unwrap_or_default();
            names.next().filter(|_| !is_of_scenes(&outer)).unwrap_or(outer)
        }
    };
    if is_of_scenes(&name) {
        BACKGROUND.clone_into(&mut name);
    }
    // A class may be called `other shirts`, too.
    while classes.contains(&name) {
        name.insert_str(0, "other ");
    }
    name
}
