use std::time::Instant;

use autorma_classifier::{Limits, LoadError, Runtime, read_file};
use autorma_models::Model;

use crate::judging::Judge;
use crate::{DataSet, Judgement, Labelled};

/// How often they take turns: an odd number, so that one turn is in the middle.
const TURNS: usize = 31;
/// Photos of a turn: few, so that what else the machine does hits both.
const PHOTOS: usize = 4;

/// How many times as fast as the second model the first is on one thread, from files' bytes to verdicts. They take turns at
/// the first of the set's photos that both have a verdict on, by the judgement beside each, from the start again where there
/// are few, and the median of the turns counts. None if there is no such photo.
pub fn speed(
    runtime: &Runtime,
    models: [(&Model, &Judgement); 2],
    set: &DataSet,
    limits: Limits,
) -> Result<Option<f64>, LoadError> {
    let [first, second] = models.map(|(model, _)| Judge::load(runtime, model, limits));
    let mut judges = [first?, second?];
    // To fail is quick, and says nothing of how fast a model is.
    let [one, other] = models.map(|(_, judgement)| &judgement.judged);
    let photos = set.photos.iter().zip(one.iter().zip(other));
    let photos = photos.filter(|(_, ((_, one), (_, other)))| one.is_ok() && other.is_ok());
    let mut photos = photos.map(|(photo, _)| photo).collect::<Vec<_>>().into_iter().cycle();
    let turns = (0..TURNS).filter_map(|number| {
        let those: Vec<_> = photos.by_ref().take(PHOTOS).collect();
        turn(&mut judges, &those, number % 2, limits)
    });
    let mut ratios: Vec<f64> = turns.collect();
    ratios.sort_by(f64::total_cmp);
    Ok(ratios.get(ratios.len() / 2).copied())
}

/// How many times as fast the first of the two is on the photos, of which the one of this number begins; None if none of the
/// photos is there any more.
fn turn(judges: &mut [Judge<'_>; 2], photos: &[&Labelled], begins: usize, limits: Limits) -> Option<f64> {
    let files = photos.iter().filter_map(|photo| Some((photo, read_file(&photo.path, limits.bytes).ok()?)));
    let files = Some(files.collect::<Vec<_>>()).filter(|files| !files.is_empty())?;
    let mut seconds = [0.0; 2];
    // Who comes second finds the files in the processor's caches.
    for which in [begins, 1 - begins] {
        let begun = Instant::now();
        for (photo, file) in &files {
            judges[which].judge(photo, file).ok()?;
        }
        seconds[which] = begun.elapsed().as_secs_f64();
    }
    Some(seconds[1] / seconds[0])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use autorma_models::handmade::{means, negatives, picture, write, write_ensemble};

    use super::*;
    use crate::{Label, judge};

    const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };

    fn judged(runtime: &Runtime, model: &Model, set: &DataSet) -> Judgement {
        judge(runtime, model, set, LIMITS, 1, |_| {}).unwrap()
    }

    #[test]
    fn what_else_the_machine_does_makes_no_model_slower_than_itself() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::of_the_clone();
        let path = root.path().join("photo.bmp");
        fs::write(&path, picture([200, 20, 20])).unwrap();
        let set = DataSet { photos: vec![Labelled { path, label: Label::Class(0) }], ..DataSet::default() };
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
            let measured = |models: [&Model; 2]| {
                let judged = models.map(|model| judged(&runtime, model, &set));
                let models = [(models[0], &judged[0]), (models[1], &judged[1])];
                speed(&runtime, models, &set, LIMITS).unwrap().unwrap()
            };
            let [same, slower] = [[&one, &one], [&both, &one]].map(measured);
            is_over.store(true, Ordering::Relaxed);
            assert!((0.5..2.0).contains(&same), "{same}");
            assert!(slower < same, "{slower} and {same}");
        });
    }

    #[test]
    fn photos_without_a_verdict_say_nothing_of_how_fast_a_model_is() {
        let (root, runtime) = (tempfile::tempdir().unwrap(), Runtime::of_the_clone());
        fs::write(root.path().join("broken.bmp"), "no picture").unwrap();
        fs::write(root.path().join("good.bmp"), picture([200, 20, 20])).unwrap();
        write(&root.path().join("model"), "means", &means()).unwrap();
        let model = Model::open(&root.path().join("model")).unwrap();
        let measured = |names: &[&str]| {
            let labelled = |name: &&str| Labelled { path: root.path().join(name), label: Label::Class(0) };
            let set = DataSet { photos: names.iter().map(labelled).collect(), ..DataSet::default() };
            let judged = judged(&runtime, &model, &set);
            speed(&runtime, [(&model, &judged); 2], &set, LIMITS).unwrap()
        };
        assert_eq!(measured(&["broken.bmp", "missing.bmp"]), None);
        assert!(measured(&["broken.bmp", "missing.bmp", "good.bmp"]).is_some());
        assert_eq!(measured(&[]), None);
    }

    #[test]
    fn photos_without_a_verdict_are_not_asked_about_again_nor_those_that_are_gone() {
        let (root, runtime) = (tempfile::tempdir().unwrap(), Runtime::of_the_clone());
        let path = root.path().join("photo.bmp");
        write(&root.path().join("model"), "means", &means()).unwrap();
        let model = Model::open(&root.path().join("model")).unwrap();
        let photo = Labelled { path: path.clone(), label: Label::Class(0) };
        let set = DataSet { photos: vec![photo], ..DataSet::default() };
        let [silent, good] = [b"no picture".to_vec(), picture([200, 20, 20])].map(|file| {
            fs::write(&path, file).unwrap();
            judged(&runtime, &model, &set)
        });
        let measured = |judged: [&Judgement; 2]| {
            speed(&runtime, judged.map(|judged| (&model, judged)), &set, LIMITS).unwrap()
        };
        assert!(measured([&good, &good]).is_some());
        for judged in [[&silent, &good], [&good, &silent]] {
            assert_eq!(measured(judged), None);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(measured([&good, &good]), None);
    }
}
