use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autorma_classifier::{AT_ONCE, Decoder, Limits, LoadError, Runtime, Session, contained, read_file};
use autorma_models::{Model, Verdict};

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

/// Why a model can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// It can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A fault in autorma.
    #[error("a thread panicked: this is a fault in autorma")]
    Panicked,
}

/// Asks the model about each photo, decoded and computed as the classifier does, on so many threads. `done` hears of
/// each photo.
pub fn judge(
    runtime: &Runtime,
    model: &Model,
    set: &DataSet,
    limits: Limits,
    threads: usize,
    done: impl Fn() + Sync,
) -> Result<Judgement, JudgeError> {
    let judges = (0..threads).map(|_| Judge::load(runtime, model, limits)).collect::<Result<Vec<_>, _>>()?;
    let next = AtomicUsize::new(0);
    let work = |mut judge: Judge<'_>| {
        let (mut judged, mut computing) = (Vec::new(), Duration::ZERO);
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(photo) = set.photos.get(place) else { return (judged, computing) };
            let file = read_file(&photo.path, limits.bytes).map_err(|failure| failure.to_string());
            let begun = Instant::now();
            judged.push((place, file.and_then(|file| judge.judge(photo, &file))));
            computing += begun.elapsed();
            done();
        }
    };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = judges.into_iter().map(|judge| scope.spawn(|| work(judge))).collect();
        let judged = threads.into_iter().map(|thread| thread.join().map_err(|_| JudgeError::Panicked));
        judged.collect::<Result<Vec<_>, _>>()
    })?;
    let seconds = all.iter().map(|(_, computing)| computing.as_secs_f64()).sum::<f64>() / threads as f64;
    let mut all: Vec<_> = all.into_iter().flat_map(|(judged, _)| judged).collect();
    all.sort_by_key(|(place, _)| *place);
    let judged = all.into_iter().map(|(place, judged)| (set.photos[place].path.clone(), judged));
    Ok(Judgement { judged: judged.collect(), seconds, threads })
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
        let picture = contained(|| self.decoder.decode(file)).map_err(|failure| failure.to_string())?;
        let logits = self.session.infer(&[&picture])?.pop().unwrap_or_default();
        let verdict = self.model.manifest.decide(&logits).map_err(|error| error.to_string())?;
        Ok(Judged { label: photo.label, verdict, logits })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use autorma_models::handmade::{means, picture, write};

    use super::*;

    #[test]
    fn what_is_no_file_is_waited_for_by_nobody_and_told() {
        let root = tempfile::tempdir().unwrap();
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so");
        let runtime = Runtime::load(&library).unwrap();
        fs::write(root.path().join("good.bmp"), picture([200, 20, 20])).unwrap();
        assert!(Command::new("mkfifo").arg(root.path().join("pipe.bmp")).status().unwrap().success());
        write(&root.path().join("model"), "means", &means()).unwrap();
        let model = Model::open(&root.path().join("model")).unwrap();
        let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };
        let labelled = |name: &str| Labelled { path: root.path().join(name), label: Label::Class(0) };
        let set = DataSet { photos: ["good.bmp", "pipe.bmp"].map(labelled).into(), loose: Vec::new() };
        let judged = judge(&runtime, &model, &set, limits, 1, || {}).unwrap().judged;
        let problems: Vec<_> = judged.into_iter().map(|(_, judged)| judged.err()).collect();
        assert_eq!(problems, [None, Some("unreadable: not a file".to_owned())]);
    }
}
