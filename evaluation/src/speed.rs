use std::time::Instant;

use autorma_classifier::{Limits, Runtime, read_file};
use autorma_models::Model;

use crate::judging::Judge;
use crate::{DataSet, JudgeError, Labelled};

/// How often they take turns: an odd number, so that one turn is in the middle.
const TURNS: usize = 31;
/// Photos of a turn: few, so that what else the machine does hits both.
const PHOTOS: usize = 4;

/// How many times as fast as the second model the first is on one thread, from files' bytes to verdicts. They take turns at
/// the set's first photos, from the start again where there are few, and the median of the turns counts.
pub fn speed(
    runtime: &Runtime,
    models: [&Model; 2],
    set: &DataSet,
    limits: Limits,
) -> Result<f64, JudgeError> {
    let [first, second] = models.map(|model| Judge::load(runtime, model, limits));
    let mut judges = [first?, second?];
    let mut photos = set.photos.iter().cycle();
    let mut turn = |turn: usize| {
        let photos: Vec<_> = photos.by_ref().take(PHOTOS).collect();
        let file = |photo: &&Labelled| read_file(&photo.path, limits.bytes).unwrap_or_default();
        let files: Vec<_> = photos.iter().map(file).collect();
        let mut seconds = [0.0; 2];
        // Who comes second finds the files in the processor's caches.
        for which in [turn % 2, 1 - turn % 2] {
            let begun = Instant::now();
            for (photo, file) in photos.iter().zip(&files) {
                // What it says, or that it says nothing, others look at.
                let _ = judges[which].judge(photo, file);
            }
            seconds[which] = begun.elapsed().as_secs_f64();
        }
        seconds[1] / seconds[0]
    };
    let mut ratios: Vec<_> = (0..TURNS).map(&mut turn).collect();
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[TURNS / 2])
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

    #[test]
    fn what_else_the_machine_does_makes_no_model_slower_than_itself() {
        let root = tempfile::tempdir().unwrap();
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so");
        let runtime = Runtime::load(&library).unwrap();
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
            let measured = |models| speed(&runtime, models, &set, LIMITS).unwrap();
            let [same, slower] = [[&one, &one], [&both, &one]].map(measured);
            is_over.store(true, Ordering::Relaxed);
            assert!((0.5..2.0).contains(&same), "{same}");
            assert!(slower < same, "{slower} and {same}");
        });
    }
}
