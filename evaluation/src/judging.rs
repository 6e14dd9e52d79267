use std::path::PathBuf;
use std::time::{Duration, Instant};

use autorma_classifier::{AT_ONCE, Decoder, Limits, LoadError, Runtime, Session, read_file};
use autorma_models::{Model, Verdict};

use crate::parallel::each;
use crate::{DataSet, Label, Labelled};

/// What the model says of a photo.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What it shows.
    pub label: Label,
    /// What the model says.
    pub verdict: Verdict,
    /// The numbers that it is made of, [`autorma_models::Manifest::outputs`] of them.
    pub logits: Vec<f32>,
}

/// What the model says of all photos.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// One a photo, in the data set's order; the reason why the model says nothing of one.
    pub judged: Vec<(PathBuf, Result<Judged, String>)>,
    /// How long it took on so many threads, from files' bytes to verdicts: how fast the disk is says nothing of a model.
    pub seconds: f64,
    /// The threads.
    pub threads: usize,
}

/// Asks the model about each photo, decoded and computed as the classifier does, on so many threads. `heard` is told how
/// many are done, first of none.
pub fn judge(
    runtime: &Runtime,
    model: &Model,
    set: &DataSet,
    limits: Limits,
    threads: usize,
    mut heard: impl FnMut(usize),
) -> Result<Judgement, LoadError> {
    let judges = (0..threads).map(|_| Judge::load(runtime, model, limits)).collect::<Result<Vec<_>, _>>()?;
    let ask = |judge: &mut Judge<'_>, place: usize| {
        let photo = &set.photos[place];
        let file = read_file(&photo.path, limits.bytes).map_err(|failure| failure.to_string());
        let begun = Instant::now();
        let judged = file.and_then(|file| judge.judge(photo, &file));
        let computing = begun.elapsed();
        ((photo.path.clone(), judged), computing)
    };
    let all = each(set.photos.len(), judges, ask, |done| {
        heard(done);
        true
    });
    // Nobody has stopped it, so there is something of each.
    let (judged, computing): (Vec<_>, Vec<Duration>) = all.unwrap_or_default().into_iter().unzip();
    let seconds = computing.iter().sum::<Duration>().as_secs_f64() / threads as f64;
    Ok(Judgement { judged, seconds, threads })
}

/// A model that is ready to be asked on one thread.
pub(crate) struct Judge<'a> {
    model: &'a Model,
    session: Session,
    decoder: Decoder,
}

impl<'a> Judge<'a> {
    pub(crate) fn load(runtime: &Runtime, model: &'a Model, limits: Limits) -> Result<Self, LoadError> {
        let session = Session::load(runtime, model, AT_ONCE)?;
        let input = &model.manifest.input;
        Ok(Self { model, session, decoder: Decoder::new(input.width, input.height, limits) })
    }

    /// What it says of a photo, from its file's bytes.
    pub(crate) fn judge(&mut self, photo: &Labelled, file: &[u8]) -> Result<Judged, String> {
        let picture = self.decoder.decode(file).map_err(|failure| failure.to_string())?;
        let logits = self.session.infer(&[&picture])?.pop().unwrap_or_default();
        let verdict = self.model.manifest.decide(&logits).map_err(|error| error.to_string())?;
        Ok(Judged { label: photo.label, verdict, logits })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use autorma_models::handmade::{means, picture, write};

    use super::*;

    #[test]
    fn what_is_no_file_is_waited_for_by_nobody_and_told() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::of_the_clone();
        fs::write(root.path().join("good.bmp"), picture([200, 20, 20])).unwrap();
        assert!(Command::new("mkfifo").arg(root.path().join("pipe.bmp")).status().unwrap().success());
        write(&root.path().join("model"), "means", &means()).unwrap();
        let model = Model::open(&root.path().join("model")).unwrap();
        let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };
        let labelled = |name: &str| Labelled { path: root.path().join(name), label: Label::Class(0) };
        let set = DataSet { photos: ["good.bmp", "pipe.bmp"].map(labelled).into(), ..DataSet::default() };
        let mut heard = Vec::new();
        let judged = judge(&runtime, &model, &set, limits, 1, |done| heard.push(done)).unwrap().judged;
        let problems: Vec<_> = judged.into_iter().map(|(_, judged)| judged.err()).collect();
        assert_eq!(problems, [None, Some("unreadable: not a file".to_owned())]);
        assert_eq!(heard, [0, 1, 2]);
    }
}
