mod copies;
mod folds;
mod listed;
mod sources;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use autorma_evaluation::{DataSet, DataSetError, Label, Labelled, classes_in, entries, is_hidden, plain};
use autorma_models::{MOST_OUTPUTS, is_a_name};
use autorma_schemas::is_photo_name;

use crate::dataset::{Groups, Split, is_of_training};
use crate::error::at;
use crate::files::meant;
use crate::training::MODEL;
use crate::{Error, enough};
pub(crate) use folds::Folds;
use listed::{Listed, listed};
use sources::{Role, Source, real, sources};

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
        let output = at(output, meant(output))?;
        let named = all_real(&folders.data)?;
        let others = all_real(&[&folders.other[..], &folders.backgrounds].concat())?;
        let mut apart: Vec<_> = named.iter().chain(&others).flat_map(|folder| of_trainings(folder)).collect();
        apart.push(output.clone());
        // Who was killed there may have left a model without its recipe.
        apart.extend(Some(output.join(MODEL)).filter(|model| !has_photos(model, &|_| false)));
        let sources = sources(folders, &apart)?;
        let of = |is_data: bool| -> Vec<PathBuf> {
            let wanted = sources.iter().filter(|it| (it.role == Role::Data) == is_data);
            wanted.map(|it| it.folder.clone()).collect()
        };
        let (data, strangers) = (of(true), of(false));
        apart.extend(only_around(&output, &data));
        apart.extend(others);
        // What lies in another folder of data is none of its classes.
        apart.extend(named.into_iter().filter(|folder| is_in_another(folder, &data)));
        let mut kinds = classes_in(&data, &apart)?;
        let classes = kinds.len();
        enough::classes(classes)?;
        let set = DataSet::read_without(&kinds, &data, &strangers, &apart)?;
        for path in &set.loose {
            tracing::warn!(path = %path.display(), "left out: a photo in no folder of a class, or a link to a folder");
        }
        let mut found: Vec<_> = set
            .photos
            .iter()
            .filter_map(|photo| Some((photo, sources.iter().find(|it| photo.path.starts_with(&it.folder))?)))
            .map(|(photo, source)| {
                let kind = match photo.label {
                    Label::Class(number) => kinds[number].clone(),
                    Label::Stranger => stranger(&photo.path, source, &kinds),
                };
                (photo, source, kind)
            })
            .collect();
        found.sort_by_cached_key(|(photo, source, _)| (source.below(&photo.path), source.number));
        let strangers: BTreeSet<_> = found.iter().map(|(_, _, kind)| kind.clone()).collect();
        kinds.extend(strangers.into_iter().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
        if let Some(kind) = kinds.iter().find(|kind| !is_a_name(kind)) {
            return Err(Error::Unnameable(kind.clone()));
        }
        if kinds.len() > MOST_OUTPUTS {
            return Err(Error::TooManyKinds(kinds.len()));
        }
        for Source { folder, number, .. } in sources.iter().filter(|it| it.role != Role::Data) {
            // Of a split one side may be empty.
            let mut sides = sources.iter().filter(|it| it.number == *number);
            let is_in = |photo: &Labelled, side: &Source| {
                photo.label == Label::Stranger && photo.path.starts_with(&side.folder)
            };
            if !sides.any(|side| found.iter().any(|(photo, ..)| is_in(photo, side))) {
                return Err(DataSetError::NoStranger(folder.clone()).into());
            }
        }
        let paths: Vec<_> = found.iter().map(|(photo, source, _)| (photo.path.as_path(), *source)).collect();
        let listed = listed(folders, &paths)?;
        let all =
            found.iter().zip(&listed).enumerate().map(|(number, ((photo, source, kind), listed))| Photo {
                path: photo.path.clone(),
                part: source.part(),
                kind: kinds.iter().position(|it| it == kind).unwrap_or_default(),
                source: source.number,
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

fn all_real(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    folders.iter().map(|folder| real(folder)).collect()
}

/// What trainings have written in the folder.
fn of_trainings(folder: &Path) -> impl Iterator<Item = PathBuf> {
    // One that can't be read is told of when its photos are looked for.
    let inner = entries(folder).into_iter().flatten();
    inner.filter(|(path, is_folder)| *is_folder && is_of_training(path)).map(|(path, _)| path)
}

fn is_in_another(folder: &Path, data: &[PathBuf]) -> bool {
    data.iter().any(|data| folder.starts_with(data) && folder != data)
}

/// The folders in `data` that `output` is in, if all their photos are in there.
fn only_around<'a>(output: &'a Path, data: &'a [PathBuf]) -> impl Iterator<Item = PathBuf> + use<'a> {
    let around = output.ancestors().skip(1).take_while(|folder| is_in_another(folder, data));
    around.filter(move |folder| !has_photos(folder, &|it| it == output)).map(Path::to_owned)
}

/// Whether there are photos in the folder, but for what is hidden and what lies in folders that are something else.
fn has_photos(folder: &Path, is_apart: &dyn Fn(&Path) -> bool) -> bool {
    let mut inner = entries(folder).into_iter().flatten().filter(|(path, _)| !is_hidden(path));
    inner.any(|(path, is_folder)| match is_folder {
        true => !is_apart(&path) && has_photos(&path, is_apart),
        false => path.file_name().is_some_and(is_photo_name),
    })
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
            match outer.as_str() {
                BACKGROUND | "backgrounds" => BACKGROUND.to_owned(),
                _ => names.next().unwrap_or(outer),
            }
        }
    };
    // A class may be called `other shirts`, too.
    while classes.contains(&name) {
        name.insert_str(0, "other ");
    }
    name
}
