use std::time::Instant;

use autorma_classifier::{Limits, LoadError, Runtime, read_file};
use autorma_models::Model;

use crate::judging::Judge;
use crate::{DataSet, Labelled};

/// How often they take turns: an odd number, so that one turn is in the middle.
const TURNS: usize = 31;
/// Photos of a turn: few, so that what else the machine does hits both.
const PHOTOS: usize = 4;

/// How many times as fast as the second model the first is on one thread, from files' bytes to verdicts. They take turns at
/// the first of the set's photos that both have a verdict on, from the start again where there are few, and the median of
/// the turns counts. None if there is no such photo.
pub fn speed(
    runtime: &Runtime,
    models: [&Model; 2],
    set: &DataSet,
    limits: Limits,
) -> Result<Option<f64>, LoadError> {
    let [first, second] = models.map(|model| Judge::load(runtime, model, limits));
    let mut judges = [first?, second?];
    let mut photos: Vec<&Labelled> = set.photos.iter().collect();
    let (mut next, mut ratios) = (0, Vec::new());
    while ratios.len() < TURNS && !photos.is_empty() {
        let those: Vec<_> = photos.iter().copied().cycle().skip(next).take(PHOTOS).collect();
        let (seconds, silent) = turn(&mut judges, &those, ratios.len() % 2, limits);
        if silent.is_empty() {
            ratios.push(seconds[1] / seconds[0]);
            next = (next + PHOTOS) % photos.len();
        } else {
            // To fail is quick, and says nothing of how fast a model is.
            photos.retain(|photo| !silent.contains(photo));
        }
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios.get(ratios.len() / 2).copied())
}

/// How long each of the two takes for the photos, first the one of this number, and the photos on which one has no verdict.
fn turn<'a>(
    judges: &mut [Judge<'_>; 2],
    photos: &[&'a Labelled],
    first: usize,
    limits: Limits,
) -> ([f64; 2], Vec<&'a Labelled>) {
    let files: Vec<_> = photos.iter().map(|photo| read_file(&photo.path, limits.bytes).ok()).collect();
    let (mut seconds, mut silent) = ([0.0; 2], Vec::new());
    // Who comes second finds the files in the processor's caches.
    for which in [first, 1 - first] {
        let begun = Instant::now();
        for (photo, file) in photos.iter().zip(&files) {
            if file.as_ref().is_none_or(|file| judges[which].judge(photo, file).is_err()) {
                silent.push(*photo);
            }
        }
        seconds[which] = begun.elapsed().as_secs_f64();
    }
    (seconds, silent)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use autorma_models::handmade::{means, negatives, picture, write, write_ensemble};

    use super::*;
    use crate::Label;

    const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };

    fn runtime() -> Runtime {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so");
        Runtime::load(&library).unwrap()
    }

    #[test]
    fn what_else_the_machine_does_makes_no_model_slower_than_itself() {
        let root = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let path = root.path().join("photo.bmp");
        fs::write(&path, picture([200, 20, 20])).unwrap();
        let set = DataSet { photos: vec![Labelled { path, label: Label::Class(0) }], loose: Vec::new() };
        let (one, both) = (root.path().join("one"), root.path().join("both"));
        write(&one, "means", &means()).unwrap();
        write_ensemble(&both, "means", &[(means(), 1.0), (negatives(), 1.0)]).unwrap();
        let [one, both] = [one, both].map(|folder: PathBuf| Model::open(&folder).unwrap());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // In bursts, as other programs work.
                while !is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_millis(5) {}
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let measured = |models| speed(&runtime, models, &set, LIMITS).unwrap().unwrap();
            let [same, slower] = [[&one, &one], [&both, &one]].map(measured);
            is_over.store(true, Ordering::Relaxed);
            assert!((0.5..2.0).contains(&same), "{same}");
            assert!(slower < same, "{slower} and {same}");
        });
    }

    #[test]
    fn photos_without_a_verdict_say_nothing_of_how_fast_a_model_is() {
        let (root, runtime) = (tempfile::tempdir().unwrap(), runtime());
        fs::write(root.path().join("broken.bmp"), "no picture").unwrap();
        fs::write(root.path().join("good.bmp"), picture([200, 20, 20])).unwrap();
        write(&root.path().join("model"), "means", &means()).unwrap();
        let model = Model::open(&root.path().join("model")).unwrap();
        let measured = |names: &[&str]| {
            let labelled = |name: &&str| Labelled { path: root.path().join(name), label: Label::Class(0) };
            let set = DataSet { photos: names.iter().map(labelled).collect(), loose: Vec::new() };
            speed(&runtime, [&model, &model], &set, LIMITS).unwrap()
        };
        assert_eq!(measured(&["broken.bmp", "missing.bmp"]), None);
        assert!(measured(&["broken.bmp", "missing.bmp", "good.bmp"]).is_some());
        assert_eq!(measured(&[]), None);
    }
}
