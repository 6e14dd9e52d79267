mod copies;
mod folds;
mod listed;
mod places;
mod shown;
mod sources;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use autorma_evaluation::{DataSet, UNREAD, classes_in};
use autorma_models::{MOST_OUTPUTS, is_a_name};

use crate::dataset::{Groups, Split};
use crate::{Error, enough};
pub(crate) use folds::Folds;
use listed::{Listed, listed};
use places::Places;
use shown::{each_has_strangers, shown};

/// The kind of what shows no article at all. No class is called that.
pub(crate) const BACKGROUND: &str = "background";
/// The column of `manifest.csv` that says who has sent a photo.
pub(crate) const CONTRIBUTOR: &str = "contributor";
/// The column of `manifest.csv` that says which photos look alike: those of one number.
pub(crate) const GROUP: &str = "group";

/// Folders of photos to learn from. What is hidden in them isn't looked at.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Each with a folder a class, or with such folders in `train`, `val` and `test`; and with `other`, `unknown`, `none`,
    /// `background` or `backgrounds` for what is none of the classes. `manifest.csv` may say in a column `contributor` who has
    /// sent which `path`, and in a column `group` which look alike.
    pub data: Vec<PathBuf>,
    /// Photos of other articles, a folder each, maybe in `train`, `val` and `test`; and maybe with such a `manifest.csv`.
    pub other: Vec<PathBuf>,
    /// Photos of scenes without any article, maybe in `train`, `val` and `test`.
    pub backgrounds: Vec<PathBuf>,
}

/// A photo to learn from or to judge by.
#[derive(Debug, Clone)]
pub(crate) struct Photo {
    pub(crate) path: PathBuf,
    /// What it is for. From one in `train` the shipped head learns, and of the heads that judge all but the one that judges
    /// its group, and the one that judges its kind as a whole. From one in `val` no head learns, and one judges it, which
    /// hasn't learned from its group, if any does. One in `test` is looked at once in a training, at the end. Whatever is
    /// said of learning here, scenes of all parts but `test` stand behind cut-out articles in what every head learns; only
    /// as scenes they are held out.
    pub(crate) part: Split,
    /// The number of its kind in [`Photos::kinds`].
    pub(crate) kind: usize,
    /// The number of the folder that was named and that it is in.
    pub(crate) source: usize,
    /// The number of the first photo of its group. Photos of a group are never in two folds.
    pub(crate) group: usize,
    /// A number that all copies of a photo have, and nothing else.
    pub(crate) content: usize,
    /// Whether a contributor has sent it.
    pub(crate) is_contributed: bool,
}

/// All photos, in the order of their paths from the folders that were named on, and of these folders: in the same order
/// wherever the folders lie, for what is learned depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Photos {
    /// The classes, then each kind of thing that is none of them, in alphabetical order each.
    pub(crate) kinds: Vec<String>,
    /// How many of the kinds are classes.
    pub(crate) classes: usize,
    pub(crate) all: Vec<Photo>,
}

impl Photos {
    /// Those in the folders, but for what lies in the folder `output`, where a training writes, and where others have written.
    pub(crate) fn find(folders: &Folders, output: &Path) -> Result<Self, Error> {
        let Places { sources, data, strangers, apart } = Places::of(folders, output)?;
        let mut kinds = classes_in(&data, &apart)?;
        let classes = kinds.len();
        enough::classes(classes)?;
        let set = DataSet::read_without(&kinds, &data, &strangers, &apart)?;
        for path in &set.loose {
            tracing::warn!(path = %path.display(), "left out: a photo in no folder of a class, or a link to a folder");
        }
        if let Some(first) = set.unread.first() {
            tracing::warn!(pictures = set.unread.len(), first = %first.display(), "left out: {UNREAD}");
        }
        let shown = shown(&set, &sources, &kinds);
        let shown_kinds: BTreeSet<_> = shown.iter().map(|it| it.kind.clone()).collect();
        kinds.extend(shown_kinds.into_iter().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
        may_be_named(&kinds)?;
        each_has_strangers(&sources, &shown)?;
        let paths: Vec<_> = shown.iter().map(|it| (it.photo.path.as_path(), it.source)).collect();
        let listed = listed(folders, &paths)?;
        let all = shown.iter().zip(&listed).enumerate().map(|(number, (it, listed))| Photo {
            path: it.photo.path.clone(),
            part: it.source.part(),
            kind: kinds.iter().position(|kind| *kind == it.kind).unwrap_or_default(),
            source: it.source.number,
            group: number,
            content: number,
            is_contributed: listed.contributor.is_some(),
        });
        let mut photos = Self { all: all.collect(), kinds, classes };
        photos.join(&listed);
        Ok(photos)
    }

    /// Puts together into groups what has a contributor in common, or looks alike, or is of a kind that is held out
    /// whole. [`Self::join_copies`] does the same with copies, when their files have been read.
    fn join(&mut self, listed: &[Listed]) {
        let mut groups = Groups::new(self.all.len());
        groups.join_by(listed.iter().map(|it| it.contributor.as_ref()));
        groups.join_by(listed.iter().map(|it| it.group.as_ref()));
        let known = self.known_in_test(&mut groups);
        if known > 0 {
            tracing::warn!(
                groups = known,
                "contributors or look-alikes have photos in train and in test: the figures of test are about people \
                 and articles that the model knows, too"
            );
        }
        groups.join_by(self.all.iter().map(|photo| self.is_of_whole_kind(photo).then_some(photo.kind)));
        self.number(groups);
    }

    /// The numbers of those that are for this.
    pub(crate) fn of_part(&self, part: Split) -> Vec<usize> {
        (0..self.all.len()).filter(|photo| self.all[*photo].part == part).collect()
    }

    /// How many of the groups are learned from and looked at in the test.
    fn known_in_test(&self, groups: &mut Groups) -> usize {
        let mut of_part = |part: Split| -> BTreeSet<usize> {
            let photos = self.all.iter().enumerate().filter(|(_, photo)| photo.part == part);
            photos.map(|(number, _)| groups.first(number)).collect()
        };
        let (learned, test) = (of_part(Split::Train), of_part(Split::Test));
        learned.intersection(&test).count()
    }

    /// What is together so far.
    fn groups(&self) -> Groups {
        let mut groups = Groups::new(self.all.len());
        groups.join_by(self.all.iter().map(|photo| Some(photo.group)));
        groups
    }

    /// Gives each group the number of its first photo.
    fn number(&mut self, mut groups: Groups) {
        for (number, photo) in self.all.iter_mut().enumerate() {
            photo.group = groups.first(number);
        }
    }

    /// Whether all others of its kind that no contributor has sent are in its group: photos of kinds that nobody has thought
    /// of will come, so whole kinds are held out.
    fn is_of_whole_kind(&self, photo: &Photo) -> bool {
        !self.is_of_class(photo) && !self.is_scene(photo) && !photo.is_contributed
    }

    /// Whether it is learned from and shows something else that no contributor has sent: neither a class nor a scene.
    pub(crate) fn is_of_others(&self, photo: &Photo) -> bool {
        self.is_of_whole_kind(photo) && photo.part == Split::Train
    }

    /// Whether it shows no article at all.
    pub(crate) fn is_scene(&self, photo: &Photo) -> bool {
        self.kinds[photo.kind] == BACKGROUND
    }

    /// Whether it shows an article of a class.
    pub(crate) fn is_of_class(&self, photo: &Photo) -> bool {
        photo.kind < self.classes
    }

    /// The photo's name in a folder of its kind: figures tell what is none of the classes by the folder that it lies in.
    pub(crate) fn by_kind(&self, photo: &Photo) -> PathBuf {
        Path::new(&self.kinds[photo.kind]).join(photo.path.file_name().unwrap_or_default())
    }
}

/// An error unless a manifest may have all of them.
fn may_be_named(kinds: &[String]) -> Result<(), Error> {
    match kinds.iter().find(|kind| !is_a_name(kind)) {
        Some(kind) => Err(Error::Unnameable(kind.clone())),
        None if kinds.len() > MOST_OUTPUTS => Err(Error::TooManyKinds(kinds.len())),
        None => Ok(()),
    }
}
