use autorma_classifier::{Decoder, Limits, Picture, contained};
use autorma_evaluation::parallel::each;
use image::RgbImage;
use sha2::{Digest, Sha256};

use crate::augment::{SIDE, vary};
use crate::cache::Key;
use crate::contents::Contents;
use crate::dataset::Split;
use crate::dice::Dice;
use crate::features::Machine;
use crate::graph::Backbone;
use crate::photos::Photos;
use crate::{Error, Progress, Recipe, What, memory};

/// Bytes of a scene when it is decoded: about as many, for one of 4:3.
const SCENE: usize = 4 * (SIDE * SIDE) as usize;
/// Of so many photos that were read when the training began, one may be gone. A folder goes as a whole, as one on a network
/// does that is away.
const FEW: usize = 20;

/// Photos as they are and in variations, of which each has a number above 0.
#[derive(Debug)]
pub(crate) struct Views<'a> {
    pub(crate) photos: &'a Photos,
    /// What one photo may cost.
    pub(crate) limits: Limits,
    pub(crate) recipe: &'a Recipe,
    pub(crate) contents: &'a Contents,
    scenes: Vec<RgbImage>,
    /// A hash of what a variation depends on, besides its photo's content and its number: backbone, seed, augmentation, scenes,
    /// and the version of how photos are varied, which is raised by hand.
    variation: Key,
}

/// Why there is no view of a photo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Its file can't be read, or isn't what was read at first.
    #[error("{0}")]
    Gone(String),
    /// Nothing can be made of what is in it.
    #[error("{0}")]
    Broken(String),
}

impl From<String> for Unusable {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

impl<'a> Views<'a> {
    /// Decodes the scenes that articles are pasted on.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `progress` says false before all are decoded; [`Error::Gone`] if one of them is gone.
    pub(crate) fn prepare(
        photos: &'a Photos,
        contents: &'a Contents,
        backbone: &Backbone,
        recipe: &'a Recipe,
        machine: Machine<'_>,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Self, Error> {
        let Machine { limits, threads, .. } = machine;
        let is_scene = |number: &usize| {
            let photo = &photos.all[*number];
            photos.is_scene(photo) && photo.part != Split::Test
        };
        let numbers: Vec<_> = (0..photos.all.len()).filter(is_scene).collect();
        let of = numbers.len();
        memory::look(of * SCENE, "all scenes, decoded,", "fewer photos of `--backgrounds`");
        let decode = |decoder: &mut Decoder, place: usize| {
            let file = contents.file(photos, numbers[place]).map_err(Unusable::Gone)?;
            whole(&file, decoder).map_err(Unusable::Broken)
        };
        let decoders = (0..threads).map(|_| Decoder::new(SIDE, SIDE, limits));
        let report = |done| progress(Progress::Count { what: What::Scenes, done, of });
        let decoded = each(of, decoders, decode, report).ok_or(Error::Stopped)?;
        let mut views =
            Self { photos, limits, recipe, contents, scenes: Vec::new(), variation: Key::default() };
        // With fewer scenes all variations are others.
        views.none_is_gone(numbers.iter().copied().zip(decoded.iter().map(|scene| scene.as_ref().err())))?;
        let mut variation = Sha256::new_with_prefix(b"variation 2");
        variation.update(backbone.sha256.as_bytes());
        variation.update(recipe.seed.to_le_bytes());
        // Debug is one text for each set of values, which is all that a hash needs.
        variation.update(format!("{:?}", recipe.augmentation));
        for (number, scene) in numbers.into_iter().zip(decoded) {
            if let (Ok(scene), Some(content)) = (scene, contents.of(number)) {
                variation.update(content);
                views.scenes.push(scene);
            }
        }
        views.variation = variation.finalize().into();
        Ok(views)
    }

    /// What such a backbone's features of a view are kept under: a hash of the photo's content and the backbone, and of what
    /// makes a variation, if it is one. The decoder and ONNX Runtime aren't in it: who changes one of them deletes the file.
    /// None for a photo that can't be read.
    pub(crate) fn key(&self, photo: usize, copy: u32, backbone: &Backbone) -> Option<Key> {
        let content = self.contents.of(photo)?;
        let mut key = Sha256::new_with_prefix(content);
        if copy == 0 {
            key.update(backbone.sha256.as_bytes());
        } else {
            key.update(self.variation);
            key.update(copy.to_le_bytes());
        }
        Some(key.finalize().into())
    }

    /// One view, in the size of the decoder. A variation is a file again, and so goes the way of any photo.
    pub(crate) fn picture(
        &self,
        photo: usize,
        copy: u32,
        decoder: &mut Decoder,
    ) -> Result<Picture, Unusable> {
        let file = self.contents.file(self.photos, photo).map_err(Unusable::Gone)?;
        let file = if copy == 0 { file } else { self.varied(photo, copy, &file, decoder)? };
        decoder.decode(&file).map_err(|failure| Unusable::Broken(failure.to_string()))
    }

    /// That a photo which could be used before can't be any more.
    pub(crate) fn lost(&self, photo: usize, why: &Unusable) -> Error {
        let is_gone = matches!(why, Unusable::Gone(_));
        Error::View { path: self.photos.all[photo].path.clone(), why: why.to_string(), is_gone }
    }

    /// Whether all of the photos are still what was read when the training began.
    ///
    /// # Errors
    /// [`Error::Gone`] if more than a few of them aren't.
    pub(crate) fn are_there(&self, photos: &[usize]) -> Result<bool, Error> {
        let look = |photo: &usize| self.contents.file(self.photos, *photo).err().map(Unusable::Gone);
        let gone: Vec<_> = photos.iter().map(look).collect();
        self.few_are_gone(photos.iter().copied().zip(gone.iter().map(Option::as_ref)))?;
        Ok(gone.iter().all(Option::is_none))
    }

    /// An error if more than a few of the photos are gone, each of which comes with why there is no view of it, if there is
    /// none: a model of the others isn't what was asked for.
    pub(crate) fn few_are_gone<'b>(
        &self,
        photos: impl IntoIterator<Item = (usize, Option<&'b Unusable>)>,
    ) -> Result<(), Error> {
        self.is_gone_at_most_one_in(FEW, photos)
    }

    /// An error if any of them is, where all the rest depends on each.
    pub(crate) fn none_is_gone<'b>(
        &self,
        photos: impl IntoIterator<Item = (usize, Option<&'b Unusable>)>,
    ) -> Result<(), Error> {
        self.is_gone_at_most_one_in(usize::MAX, photos)
    }

    fn is_gone_at_most_one_in<'b>(
        &self,
        so_many: usize,
        photos: impl IntoIterator<Item = (usize, Option<&'b Unusable>)>,
    ) -> Result<(), Error> {
        // One that couldn't be read at first is left out and told.
        let was_read = photos.into_iter().filter(|(photo, _)| self.contents.of(*photo).is_some());
        let read: Vec<_> = was_read.collect();
        let gone = read.iter().filter_map(|(photo, unusable)| match unusable {
            Some(Unusable::Gone(why)) => Some((*photo, why)),
            _ => None,
        });
        let gone: Vec<_> = gone.collect();
        match &*gone {
            [(photo, why), ..] if gone.len().saturating_mul(so_many) > read.len() => Err(Error::Gone {
                gone: gone.len(),
                of: read.len(),
                path: self.photos.all[*photo].path.clone(),
                why: (*why).clone(),
            }),
            _ => Ok(()),
        }
    }

    fn varied(&self, photo: usize, copy: u32, file: &[u8], decoder: &mut Decoder) -> Result<Vec<u8>, String> {
        let content = self.contents.of(photo).ok_or("it can't be read")?;
        let whole = whole(file, decoder)?;
        let mut dice = Dice::new(self.recipe.seed, &content, copy);
        contained(|| Ok(vary(&whole, &self.recipe.augmentation, &self.scenes, &mut dice)))
            .map_err(|failure| failure.to_string())
            .flatten()
    }
}

/// A photo to do things to.
fn whole(file: &[u8], decoder: &mut Decoder) -> Result<RgbImage, String> {
    decoder.in_proportion(file, SIDE).map_err(|failure| failure.to_string())
}
