//! Which version computes an image: the arms of a split, of which each image has one, and the shadow.

use std::collections::BTreeMap;

use autorma_models::registry::{Reference, Source, Which};

use crate::{Config, Error};

/// How images are split among the aliases of a model: an *arm* is an alias with its share. Without arms there is nothing
/// to split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split(Vec<(String, u32)>);

impl Split {
    /// Aliases with their shares, which may add up to anything; who has none is no arm.
    pub(crate) fn new(shares: BTreeMap<String, u32>) -> Self {
        Self(shares.into_iter().filter(|(_, share)| *share > 0).collect())
    }

    /// Whether there are no arms.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The arms with their shares, in the order of their names.
    pub fn arms(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(alias, share)| (alias.as_str(), *share))
    }

    /// The arm of an image by the SHA-256 of its file, in hexadecimal: its number in [`Split::arms`], 0 where there is
    /// nothing to split. Nothing else is asked, so it is the same for whoever asks, and whenever.
    ///
    /// The hash's first 64 bits are a place between 0 and 1; the arms divide that line by their shares, in the order of
    /// their names. So 9 to 1 is the same split as 90 to 10, and between two arms a changed share moves only the images
    /// that it must.
    pub(crate) fn arm(&self, sha256: &str) -> usize {
        let bits = sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0);
        let sum: u64 = self.0.iter().map(|(_, share)| u64::from(*share)).sum();
        let place = ((u128::from(bits) * u128::from(sum)) >> 64) as u64;
        let mut end = 0;
        let ends = self.0.iter().map(|(_, share)| {
            end += u64::from(*share);
            end
        });
        ends.take_while(|end| *end <= place).count()
    }

    /// The name of an arm; None where there is nothing to split.
    pub(crate) fn name(&self, arm: usize) -> Option<&str> {
        self.0.get(arm).map(|(alias, _)| alias.as_str())
    }

    /// A micro-batch, split by its images' arms.
    pub(crate) fn parts<T>(&self, batch: Vec<T>, sha256: impl Fn(&T) -> &str) -> BTreeMap<usize, Vec<T>> {
        let mut parts = BTreeMap::<_, Vec<T>>::new();
        for one in batch {
            parts.entry(self.arm(sha256(&one))).or_default().push(one);
        }
        parts
    }
}

/// Who computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// Where each arm's model comes from, in the order of the arms; one where there is nothing to split.
    pub arms: Vec<Source>,
    /// The version that computes along and isn't published.
    pub shadow: Option<Reference>,
}

impl Cast {
    /// As the settings say it, or why they contradict each other.
    pub fn of(config: &Config) -> Result<Self, Error> {
        let Config { model, split, shadow, .. } = config;
        if split.is_empty() && shadow.is_none() {
            return Ok(Self { arms: vec![model.clone()], shadow: None });
        }
        let Source::Registered(reference) = model else {
            return Err(Error::Cast(format!(
                "model.split and model.shadow name aliases of a model in the registry, and classifier.model is the \
                 folder {model}: let it be NAME@ALIAS, or leave them out"
            )));
        };
        let named =
            |alias: &str| Reference { name: reference.name.clone(), which: Which::Alias(alias.into()) };
        let arms: Vec<_> = match split.is_empty() {
            true => vec![reference.clone()],
            false => split.arms().map(|(alias, _)| named(alias)).collect(),
        };
        if !arms.contains(reference) {
            return Err(Error::Cast(format!(
                "model.split has no share for {reference}, which is classifier.model: give its alias one, or leave \
                 model.split out"
            )));
        }
        let shadow = shadow.as_deref().map(named);
        if let Some(shadow) = shadow.as_ref().filter(|shadow| arms.contains(shadow)) {
            return Err(Error::Cast(format!(
                "model.shadow is {shadow}, which publishes already: let it be another alias"
            )));
        }
        Ok(Self { arms: arms.into_iter().map(Source::Registered).collect(), shadow })
    }
}

#[cfg(test)]
mod tests;
