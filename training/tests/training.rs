//! Whole trainings, on a backbone and pictures that were made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use autorma_classifier::{Limits, Runtime};
use autorma_evaluation::NotJudged;
use autorma_models::{Model, handmade};
use autorma_training::{
    Augmentation, Error, Folders, Metrics, Precision, Progress, Recipe, Section, Training, Tuning, Weights,
    What, train,
};
use image::{Rgb, RgbImage};

const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1_000_000, memory: 16 << 20 };

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so"))
            .unwrap()
    })
}

fn recipe() -> Recipe {
    Recipe { copies: 3, folds: 2, ..Recipe::default() }
}

/// How many of these are done, if that is what is said.
fn done(progress: Progress, wanted: What) -> Option<usize> {
    match progress {
        Progress::Count { what, done, .. } if what == wanted => Some(done),
        _ => None,
    }
}

/// Photos of two classes that a split divides, of two others that a contributor sent, and of what is none of them.
struct Home {
    root: tempfile::TempDir,
    /// Where the split is.
    studio: PathBuf,
}

impl Home {
    fn new() -> Self {
        let home = Self { root: tempfile::tempdir().unwrap(), studio: "studio".into() };
        fs::write(home.path("backbone.onnx"), handmade::backbone()).unwrap();
        for (part, count) in [("train", 12), ("val", 6), ("test", 6)] {
            home.draw(&format!("studio/{part}/red_things"), count, [200, 30, 30]);
            home.draw(&format!("studio/{part}/green_things"), count, [30, 190, 40]);
        }
        home.draw("home/red_things", 4, [190, 50, 40]);
        home.draw("home/green_things", 4, [60, 180, 50]);
        home.draw("home/other/blue_things", 4, [40, 50, 200]);
        let rows = ["red_things", "green_things", "other/blue_things"];
        let rows =
            rows.iter().flat_map(|folder| (0..4).map(move |i| format!("{folder}/{i}.png,{}\n", i % 2)));
        fs::write(home.path("home/manifest.csv"), format!("path,contributor\n{}", rows.collect::<String>()))
            .unwrap();
        home.draw("other/blue_things", 8, [30, 30, 210]);
        home.draw("other/grey_things", 8, [120, 120, 125]);
        home.draw("scenes", 5, [130, 160, 200]);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Things of about this colour, on white.
    fn draw(&self, folder: &str, count: u8, colour: [u8; 3]) {
        fs::create_dir_all(self.path(folder)).unwrap();
        let salt = folder.len() as u8;
        for number in 0..count {
            let photo = RgbImage::from_fn(48, 48, |x, y| {
                let edge = 6 + u32::from(number % 7);
                let is_thing = (edge..48 - edge).contains(&x) && (8..42).contains(&y);
                let shade = (x as u8).wrapping_mul(7).wrapping_add(number * 5 + salt) % 30;
                Rgb(if is_thing { colour.map(|value| value.saturating_add(shade)) } else { [255; 3] })
            });
            photo.save(self.path(folder).join(format!("{number}.png"))).unwrap();
        }
    }

    fn folders(&self) -> Folders {
        Folders {
            data: vec![self.root.path().join(&self.studio), self.path("home")],
            other: vec![self.path("other")],
            backgrounds: vec![self.path("scenes")],
        }
    }

    fn train(
        &self,
        output: &str,
        seed: u64,
        threads: usize,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<Metrics, Error> {
        self.train_by(&Recipe { seed, ..recipe() }, output, threads, progress)
    }

    fn train_by(
        &self,
        recipe: &Recipe,
        output: &str,
        threads: usize,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<Metrics, Error> {
        let training = Training {
            folders: &self.folders(),
            recipe,
            backbone: &self.path("backbone.onnx"),
            output: &self.path(output),
            runtime: runtime(),
            limits: LIMITS,
            threads,
        };
        train(&training, progress)
    }

    /// What a training has made, byte by byte.
    fn model(&self, output: &str) -> [Vec<u8>; 4] {
        ["manifest.json", "refund-classifier.onnx", "CARD.md", "refund-classifier.fp32.onnx"]
            .map(|file| fs::read(self.path(output).join("model").join(file)).unwrap())
    }
}

#[test]
fn a_model_is_trained_judged_and_described() {
    let home = Home::new();
    fs::write(home.path("studio/train/red_things/broken.jpg"), "no picture").unwrap();
    let copy = home.path("home/red_things/copy.png");
    fs::copy(home.path("studio/test/red_things/0.png"), copy).unwrap();
    home.draw("studio/test/other/blue_things/deep", 2, [35, 35, 205]);
    let mut last = BTreeMap::new();
    let metrics = home.train("run", 1, 2, |progress| {
        if let Progress::Count { what, done, of } = progress {
            last.insert(what.name(), (done, of));
        }
        true
    });
    let metrics = metrics.unwrap();
    assert!(last.len() == 6 && last.values().all(|(done, of)| done == of), "{last:?}");
    assert_eq!((last["scenes"].0, last["test photos"].0), (5, 2 * (12 + 2)));
    let model = Model::open(&metrics.model).unwrap();
    assert_eq!(model.manifest.classes, ["green things", "red things"]);
    assert_eq!(model.manifest.output.unknown, ["background", "blue things", "grey things"]);
    let names: Vec<_> = metrics.held_out.iter().map(|section| section.name).collect();
    let of_groups = ["all", "train", "validation", "contributors", "others", "backgrounds"];
    assert_eq!(names, [of_groups.as_slice(), &["others of learned kinds"]].concat());
    let strangers = |section: usize| metrics.held_out[section].quality.strangers.as_ref().unwrap();
    assert_eq!([0, 4, 6].map(|section| strangers(section).decisions.unknown.of), [4 + 16 + 5, 16, 16]);
    let all = &metrics.held_out[0].quality;
    assert!(all.accuracy.share > 0.9 && all.accuracy.of == 24 + 12 + 8, "{:?}", all.accuracy);
    let test = metrics.test.as_ref().unwrap();
    assert!(test.accuracy.share > 0.9 && test.accuracy.of == 12, "{:?}", test.accuracy);
    let kinds = &test.strangers.as_ref().unwrap().folders;
    assert!(kinds.len() == 1 && kinds[0].folder == "blue things", "not the innermost folder: {kinds:?}");
    assert_eq!(model.manifest.metrics["test: accuracy"], test.accuracy.share);
    let [NotJudged { path, .. }] = &*metrics.failed else { panic!("{:?}", metrics.failed) };
    assert!(path.ends_with("broken.jpg"), "{path}");
    // What is counted was used: not the broken one, nor the copy of what is in `test`.
    assert_eq!(metrics.photos["train"]["red things"], 12 + 4);
    let learned = 24 + 12 + 16 + 5;
    let origin = |what: &str| &model.manifest.origin[what];
    assert!(origin("head").contains(&format!(" {learned} photos and 3 variations")), "{}", origin("head"));
    assert!(origin("quantization").ends_with(&format!(" {learned} photos")), "{}", origin("quantization"));
    assert!(metrics.losses.windows(2).all(|two| two[1] <= two[0]) && metrics.losses.len() > 5);
    let reference = Model::open_reference(&metrics.model).unwrap().unwrap();
    assert_eq!([&model, &reference].map(|it| it.manifest.precision()), ["int8", "fp32"]);
    let in_floats = metrics.in_floats.as_ref().unwrap();
    assert_eq!(in_floats.held_out.len(), metrics.held_out.len());
    let floats = in_floats.test.as_ref().unwrap().accuracy;
    assert!((floats.share - test.accuracy.share).abs() <= 1.0 / 12.0 && floats.of == 12, "{floats:?}");
    assert_eq!(model.manifest.metrics["in floats, test: accuracy"], floats.share);
    let read = |name| fs::read_to_string(home.path("run").join(name)).unwrap();
    assert!(read("model/CARD.md").contains("| in floats, held out: contributors | 8 |"));
    assert!(read("model/CARD.md").contains("| held out: contributors | 8 |"), "{}", read("model/CARD.md"));
    let target = "that no contributor sent (`train` and `val` together) at most 2 % called unknown";
    assert!(read("model/CARD.md").contains(target), "{}", read("model/CARD.md"));
    let of_kinds = read("model/CARD.md");
    assert!(
        of_kinds.contains("| mean of the kinds | ") && of_kinds.contains("| blue things | "),
        "{of_kinds}"
    );
    let page = read("report.html");
    assert!(
        page.contains("<td>mean of the kinds<td>")
            && page.contains("<th>found unknown<th>AUROC</tr>")
            && page.contains("<polyline")
            && page.contains("broken.jpg")
            && !page.contains("http")
    );
    assert_eq!(Recipe::parse(&read("train.toml")).unwrap(), metrics.recipe);
    assert!(read("metrics.json").contains("\"unknown_errors\""));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads_and_wherever_photos_lie() {
    let (home, elsewhere) = (Home::new(), Home::new());
    home.train("one", 1, 1, |_| true).unwrap();
    elsewhere.train("two", 1, 3, |_| true).unwrap();
    home.train("three", 2, 2, |_| true).unwrap();
    assert_eq!(home.model("one"), elsewhere.model("two"));
    assert_ne!(home.model("one")[1], home.model("three")[1]);
}

#[test]
fn the_same_folders_elsewhere_give_the_same_model() {
    let [first, last] = ["a", "z"].map(|above| {
        let mut home = Home::new();
        fs::create_dir(home.path(above)).unwrap();
        let studio = Path::new(above).join("studio");
        fs::rename(home.path("studio"), home.root.path().join(&studio)).unwrap();
        home.studio = studio;
        home.train("run", 1, 2, |_| true).unwrap();
        home.model("run")
    });
    assert_eq!(first, last);
}

#[test]
fn a_round_in_which_nothing_is_missing_is_whole_whenever_it_is_stopped() {
    let home = Home::new();
    // All photos but those of `test` as they are: 24 and 12 of the studio's, 12 from home, 16 others and 5 scenes.
    let at_the_last = |progress| done(progress, What::Features).is_none_or(|done| done < 69);
    let metrics = home.train("run", 1, 2, at_the_last).unwrap();
    assert_eq!((metrics.copies, metrics.is_whole), (0, false));
    home.train("run", 1, 2, |_| true).unwrap();
    let whole = home.model("run");
    let stopped = home.train("run", 1, 2, |progress| done(progress, What::Features).is_none()).unwrap();
    assert!(stopped.is_whole && home.model("run") == whole);
}

#[test]
fn what_is_stopped_goes_on_and_comes_to_the_same() {
    let home = Home::new();
    home.train("whole", 1, 2, |_| true).unwrap();
    let views =
        |wanted: usize| move |progress| done(progress, What::Features).is_none_or(|done| done < wanted);
    assert!(matches!(home.train("stopped", 1, 2, views(20)), Err(Error::Stopped)));
    let mut first = None;
    let partly = home.train("stopped", 1, 2, |progress| {
        first = first.or(done(progress, What::Features));
        views(120)(progress)
    });
    assert!(first.is_some_and(|done| done >= 20), "{first:?}");
    let partly = partly.unwrap();
    assert!(!partly.is_whole && partly.copies < 3, "{}", partly.copies);
    let is_told = |output| {
        let card = String::from_utf8(home.model(output)[2].clone()).unwrap();
        card.contains("variations of each, less than wanted: training was stopped.")
    };
    assert!(is_told("stopped") && !is_told("whole"));
    assert_eq!(Model::open(&partly.model).unwrap().manifest.classes.len(), 2);
    assert_ne!(home.model("stopped")[1], home.model("whole")[1]);
    let mut first = None;
    let whole = home.train("stopped", 1, 2, |progress| {
        first = first.or(done(progress, What::Features));
        true
    });
    assert!(whole.unwrap().is_whole);
    assert!(first.is_some_and(|done| done >= 120), "of all rounds: {first:?}");
    assert_eq!(home.model("stopped"), home.model("whole"));
    // Everything is known now.
    let mut features = Vec::new();
    home.train("stopped", 1, 2, |progress| {
        features.extend(done(progress, What::Features));
        true
    })
    .unwrap();
    assert!(features.len() <= 4, "{}", features.len());
}

#[test]
fn a_backbone_is_tuned_and_judged_by_one_that_hasn_t_seen_the_fold() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let tuning = Tuning { steps: 24, batch: 6, rate: 2e-3, head_rate: 2e-3, warm_up: 3, ..Tuning::default() };
    let recipe = Recipe { copies: 1, folds: 2, tuning, ..Recipe::default() };
    let (mut tuned, mut losses) = (0, Vec::new());
    let metrics = home.train_by(&recipe, "run", 1, |progress| {
        if let Progress::Tuning { number, of, step, steps, loss } = progress {
            assert_eq!((of, steps), (2, 24));
            assert_eq!((number, step as usize), (tuned / 24, tuned % 24 + 1));
            tuned += 1;
            losses.push(loss);
        }
        true
    });
    let metrics = metrics.unwrap();
    assert!(metrics.is_tuned && metrics.is_whole && tuned == 48, "{tuned} steps");
    assert_eq!(metrics.tuning_losses, losses[24..], "those of what ships");
    assert!(losses.iter().all(|it| (0.2..3.0).contains(it)), "{losses:?}");
    assert!(metrics.test.as_ref().unwrap().accuracy.share > 0.9);
    // One of two folds is judged.
    let all = &metrics.held_out[0].quality;
    assert!((1..44).contains(&all.accuracy.of) && all.accuracy.share > 0.8, "{:?}", all.accuracy);
    assert!(
        metrics.held_out.iter().all(|it| it.name != "others of learned kinds"),
        "of the untuned backbone"
    );
    let card = String::from_utf8(home.model("run")[2].clone()).unwrap();
    assert!(card.contains("tuned here") && card.contains("1 of 2 parts"), "{card}");
    let page = fs::read_to_string(home.path("run/report.html")).unwrap();
    assert!(page.contains(">head, before the backbone was tuned<") && !page.contains(">shipped head<"));
    // On any number of threads, and after any number of stops.
    let mut stops = 0;
    loop {
        let mut steps = 0;
        let metrics = elsewhere.train_by(&recipe, "run", 3, |progress| {
            steps += usize::from(matches!(progress, Progress::Tuning { .. }));
            steps < 15
        });
        let metrics = metrics.unwrap();
        assert_eq!(metrics.is_whole, metrics.is_tuned);
        if metrics.is_whole {
            assert_eq!(metrics.tuning_losses, losses[24..], "of the steps before the stops, too");
            break;
        }
        stops += 1;
        assert_ne!(elsewhere.model("run")[1], home.model("run")[1], "after {stops} stops");
        let page = fs::read_to_string(elsewhere.path("run/report.html")).unwrap();
        assert!(page.contains("<p>1 variations of each photo; the backbone wasn't tuned to the end"));
        assert!(page.contains(">shipped head<"));
        let card = String::from_utf8(elsewhere.model("run")[2].clone()).unwrap();
        assert!(card.contains("variations of each; the backbone wasn't tuned to the end."), "{card}");
    }
    assert_eq!(stops, 3);
    assert_eq!(elsewhere.model("run"), home.model("run"));
}

/// That tunes in no time.
fn tuned() -> Recipe {
    Recipe { tuning: Tuning { steps: 12, batch: 6, ..Tuning::default() }, ..recipe() }
}

#[test]
fn who_stops_while_a_tuned_backbone_judges_is_heard() {
    let home = Home::new();
    let (mut is_tuned, mut judged) = (false, Vec::new());
    let stopped = home.train_by(&tuned(), "run", 2, |progress| {
        is_tuned |= matches!(progress, Progress::Tuning { .. });
        judged.extend(done(progress, What::Judged).filter(|_| is_tuned));
        judged.len() < 4
    });
    let stopped = stopped.unwrap();
    assert!(judged.starts_with(&[0, 1, 2, 3]), "{judged:?}");
    assert_eq!((stopped.is_whole, stopped.is_tuned), (false, false));
    assert!(home.train_by(&tuned(), "run", 2, |_| true).unwrap().is_tuned);
}

#[test]
fn a_photo_that_is_lost_while_the_backbone_is_tuned_costs_the_tuning_and_no_model() {
    let home = Home::new();
    // So many photos are drawn that each is.
    let tuned = || Recipe { tuning: Tuning { batch: 48, ..tuned().tuning }, ..tuned() };
    let [photo, away] = ["home/red_things/0.png", "away.png"].map(|name| home.path(name));
    let untuned = home.train_by(&tuned(), "run", 2, |progress| {
        if matches!(progress, Progress::Tuning { number: 0, step: 1, .. }) {
            fs::rename(&photo, &away).unwrap();
        }
        true
    });
    let untuned = untuned.unwrap();
    assert_eq!((untuned.is_whole, untuned.is_tuned), (false, false));
    assert_eq!(Model::open(&untuned.model).unwrap().manifest.classes.len(), 2);
    fs::rename(&away, &photo).unwrap();
    let whole = home.train_by(&tuned(), "run", 2, |_| true).unwrap();
    assert!(whole.is_whole && whole.is_tuned);
}

#[test]
fn a_photo_that_can_never_be_varied_costs_the_tuning_and_no_step_twice() {
    let home = Home::new();
    let odd = RgbImage::from_pixel(96, 96, Rgb([200, 30, 30]));
    odd.save(home.path("studio/train/red_things/odd.png")).unwrap();
    // In the proportions that a square one had, it is a third larger: too large, unlike the others.
    let limits = Limits { pixels: 10_000, ..LIMITS };
    let augmentation = Augmentation { paste: 0.0, crop: 1.0, ..Augmentation::default() };
    // It is drawn after a while.
    let weights = Weights { contributed: 1.0, other: 1.0, ..Weights::default() };
    let tuning = Tuning { steps: 400, batch: 1, ..Tuning::default() };
    let training = Training {
        folders: &home.folders(),
        recipe: &Recipe { copies: 0, augmentation, weights, tuning, ..recipe() },
        backbone: &home.path("backbone.onnx"),
        output: &home.path("run"),
        runtime: runtime(),
        limits,
        threads: 2,
    };
    let mut steps = Vec::new();
    let untuned = train(&training, |progress| {
        if let Progress::Tuning { number, step, .. } = progress {
            steps.push((number, step));
        }
        true
    });
    let untuned = untuned.unwrap();
    assert_eq!((untuned.is_whole, untuned.is_tuned), (false, false));
    assert!(untuned.failed.is_empty(), "it can be looked at as it is: {:?}", untuned.failed);
    assert!(!steps.is_empty() && steps.is_sorted_by(|one, next| one < next), "{steps:?}");
}

#[test]
fn a_tuning_that_comes_to_no_numbers_costs_the_tuning_and_no_model() {
    let home = Home::new();
    let tuning = Tuning { rate: 1e30, head_rate: 1e30, ..tuned().tuning };
    for (output, steps, precision) in
        [("int8", 3, Precision::Int8), ("fp32", 3, Precision::Fp32), ("too large", 1, Precision::Fp32)]
    {
        let recipe = Recipe { copies: 0, precision, tuning: Tuning { steps, ..tuning }, ..recipe() };
        let untuned = home.train_by(&recipe, output, 2, |_| true).unwrap();
        assert_eq!((untuned.is_whole, untuned.is_tuned), (false, false), "{output}");
        assert_eq!(Model::open(&untuned.model).unwrap().manifest.classes.len(), 2);
        // One step leads to numbers that only can't be computed with.
        assert_eq!(home.path(output).join("tuning-0.bin").exists(), steps == 1, "{output}");
    }
}

#[test]
fn a_folder_that_goes_away_while_the_backbone_is_tuned_or_tested_costs_no_former_model() {
    let home = Home::new();
    home.train_by(&tuned(), "run", 2, |_| true).unwrap();
    let former = home.model("run");
    let other = Recipe { seed: 2, ..tuned() };
    let without = |folder: &str, is_time: fn(Progress) -> bool| {
        let [photos, away] = [folder, "away"].map(|name| home.path(name));
        let gone = home.train_by(&other, "run", 2, |progress| {
            if is_time(progress) {
                fs::rename(&photos, &away).unwrap();
            }
            true
        });
        fs::rename(&away, &photos).unwrap();
        gone.unwrap_err()
    };
    let gone = without("home", |progress| matches!(progress, Progress::Tuning { number: 0, step: 1, .. }));
    assert!(matches!(gone, Error::Gone { gone: 12, of: 69, .. }), "{gone}");
    assert!(home.model("run") == former, "the former model stays");
    let gone = without("studio/test", |progress| done(progress, What::Tested) == Some(0));
    assert!(matches!(gone, Error::Gone { gone: 12, of: 12, .. }), "{gone}");
    assert!(home.model("run") == former, "the former model stays");
    let whole = home.train_by(&other, "run", 2, |_| true).unwrap();
    assert!(whole.is_whole && whole.is_tuned && home.model("run") != former);
}

#[test]
fn a_folder_that_is_away_for_a_moment_while_a_tuned_backbone_is_quantized_or_judges_costs_no_tuning() {
    let home = Home::new();
    home.train_by(&tuned(), "whole", 2, |_| true).unwrap();
    let [photos, away] = ["studio", "away"].map(|name| home.path(name));
    for (output, wanted) in [("judged", What::Judged), ("quantized", What::Calibration)] {
        let (mut is_tuned, mut was_away) = (false, false);
        let metrics = home.train_by(&tuned(), output, 2, |progress| {
            is_tuned |= matches!(progress, Progress::Tuning { .. });
            match progress {
                Progress::Count { what, done: 0, .. } if what == wanted && is_tuned && !was_away => {
                    fs::rename(&photos, &away).unwrap();
                    was_away = true;
                }
                Progress::Count { what, done, of } if what == wanted && done == of && away.exists() => {
                    fs::rename(&away, &photos).unwrap();
                }
                _ => {}
            }
            true
        });
        assert!(metrics.unwrap().is_tuned && was_away, "{output}");
        assert!(home.model(output) == home.model("whole"), "{output}");
    }
}

#[test]
fn a_backbone_that_can_t_be_tuned_is_said_before_anything_is_done() {
    let home = Home::new();
    fs::write(home.path("backbone.onnx"), handmade::untunable()).unwrap();
    home.train("run", 1, 1, |_| true).unwrap();
    let recipe = Recipe { tuning: Tuning { steps: 1, ..Tuning::default() }, ..Recipe::default() };
    let mut hears = 0;
    let refused = home.train_by(&recipe, "tuned", 1, |_| {
        hears += 1;
        true
    });
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("Sigmoid") && refused.contains("tuning.steps = 0") && hears == 0, "{refused}");
}

#[test]
fn a_backbone_that_can_t_be_run_when_it_is_written_is_said_before_anything_is_done() {
    let home = Home::new();
    let mut backbone = handmade::backbone();
    // What its first node says is called as a part of the head is.
    while let Some(place) = backbone.windows(9).position(|it| it == b"convolved") {
        backbone[place..place + 9].copy_from_slice(b"head.bias");
    }
    fs::write(home.path("backbone.onnx"), backbone).unwrap();
    let mut hears = 0;
    let refused = home.train("run", 1, 1, |_| {
        hears += 1;
        true
    });
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, Error::Backbone { cause, .. } if cause.contains("head.bias")), "{refused}");
    assert_eq!((hears, home.path("run").exists()), (0, false));
}

#[test]
fn what_is_stopped_before_the_first_whole_round_is_no_model_and_goes_on() {
    let home = Home::new();
    home.train("whole", 1, 2, |_| true).unwrap();
    for stops in [
        |progress: Progress| done(progress, What::Read).is_some(),
        |progress: Progress| done(progress, What::Scenes).is_some(),
        |progress: Progress| done(progress, What::Calibration).is_some_and(|done| done >= 4),
        |progress: Progress| done(progress, What::Judged).is_some_and(|done| done >= 10),
    ] {
        let stopped = home.train("stopped", 1, 2, |progress| !stops(progress));
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        assert!(!home.path("stopped/model").exists());
    }
    home.train("stopped", 1, 2, |_| true).unwrap();
    assert_eq!(home.model("stopped"), home.model("whole"));
}

#[test]
fn a_photo_that_is_missing_only_where_int8_is_judged_is_told() {
    let home = Home::new();
    let [photo, away] = ["home/red_things/0.png", "away.png"].map(|name| home.path(name));
    let metrics = home.train("run", 1, 2, |progress| {
        match progress {
            Progress::Count { what: What::Judged, done: 0, .. } => fs::rename(&photo, &away).unwrap(),
            Progress::Count { what: What::Judged, done, of } if done == of => {
                fs::rename(&away, &photo).unwrap();
            }
            _ => {}
        }
        true
    });
    let metrics = metrics.unwrap();
    let [NotJudged { path, .. }] = &*metrics.failed else { panic!("{:?}", metrics.failed) };
    assert!(path.ends_with("home/red_things/0.png"), "{path}");
    assert_eq!(metrics.photos["train"]["red things"], 12 + 4 - 1);
    let judged = |sections: &[Section]| sections[0].quality.accuracy.of;
    let in_floats = metrics.in_floats.as_ref().unwrap();
    assert_eq!((judged(&metrics.held_out), judged(&in_floats.held_out)), (43, 44));
}

#[test]
fn a_photo_that_is_told_as_left_out_chooses_nothing() {
    let home = Home::new();
    let photo = home.path("home/red_things/0.png");
    let metrics = home.train("run", 1, 2, |progress| {
        if done(progress, What::Features) == Some(0) {
            fs::remove_file(&photo).unwrap();
        }
        true
    });
    let metrics = metrics.unwrap();
    let [NotJudged { path, .. }] = &*metrics.failed else { panic!("{:?}", metrics.failed) };
    assert!(path.ends_with("home/red_things/0.png"), "{path}");
    let judged = |sections: &[Section]| sections[0].quality.accuracy.of;
    let in_floats = metrics.in_floats.as_ref().unwrap();
    assert_eq!((judged(&metrics.held_out), judged(&in_floats.held_out)), (43, 43));
}

#[test]
fn a_folder_that_goes_away_costs_neither_its_photos_nor_the_former_model() {
    let home = Home::new();
    home.train("run", 1, 2, |_| true).unwrap();
    let former = home.model("run");
    let (photos, away) = (home.path("studio").canonicalize().unwrap(), home.path("away"));
    let gone = home.train("run", 2, 2, |progress| {
        // The photos as they are, 69, are known, and of their variations those from home are the first.
        if done(progress, What::Features) == Some(71) {
            fs::rename(&photos, &away).unwrap();
        }
        true
    });
    let gone = gone.unwrap_err();
    let Error::Gone { gone: 24, of: 69, path, .. } = &gone else { panic!("{gone}") };
    assert!(path.starts_with(&photos), "{gone}");
    assert!(gone.to_string().ends_with("the same command goes on from here"), "{gone}");
    assert!(home.model("run") == former, "the former model stays");
    fs::rename(&away, &photos).unwrap();
    let metrics = home.train("run", 2, 2, |_| true).unwrap();
    assert!(metrics.is_whole && metrics.failed.is_empty(), "{:?}", metrics.failed);
}

#[test]
fn a_folder_that_is_away_for_a_moment_makes_no_model_of_other_scenes_or_other_ranges() {
    let home = Home::new();
    home.train("run", 1, 2, |_| true).unwrap();
    let former = home.model("run");
    let all = 24 + 12 + 16 + 5;
    for (folder, wanted, counts) in [
        ("scenes", What::Scenes, (5, 5)),
        ("home", What::Calibration, (12, all)),
        ("home/red_things/0.png", What::Calibration, (1, all)),
    ] {
        let [photos, away] = [folder, "away"].map(|name| home.path(name));
        let gone = home.train("run", 2, 2, |progress| {
            match progress {
                Progress::Count { what, done: 0, .. } if what == wanted => {
                    fs::rename(&photos, &away).unwrap();
                }
                Progress::Count { what, done, of } if what == wanted && done == of => {
                    fs::rename(&away, &photos).unwrap();
                }
                _ => {}
            }
            true
        });
        let gone = gone.unwrap_err();
        assert!(matches!(gone, Error::Gone { gone, of, .. } if (gone, of) == counts), "{gone}");
        assert!(home.model("run") == former, "the former model stays");
    }
    let whole = home.train("run", 2, 2, |_| true).unwrap();
    assert!(whole.is_whole && whole.failed.is_empty(), "{:?}", whole.failed);
}

#[test]
fn a_recipe_stays_beside_its_model_until_there_is_another_model() {
    let home = Home::new();
    let stopped = |progress: Progress| done(progress, What::Calibration).is_none();
    let seed = || {
        let recipe = fs::read_to_string(home.path("run/train.toml")).unwrap();
        Recipe::parse(&recipe).unwrap().seed
    };
    for (trained, before, after) in [(7, 7, 7), (1, 7, 1), (2, 1, 2)] {
        assert!(matches!(home.train("run", trained, 2, stopped), Err(Error::Stopped)));
        assert_eq!(seed(), before, "while {trained} is computed");
        home.train("run", trained, 2, |_| true).unwrap();
        assert_eq!(seed(), after);
    }
}

#[test]
fn what_tells_of_a_model_never_lies_beside_another() {
    let home = Home::new();
    let told = ["train.toml", "report.html", "metrics.json", "model/CARD.md"];
    let is_there = || told.map(|name| home.path("run").join(name).exists());
    home.train("run", 1, 2, |_| true).unwrap();
    let former = home.model("run");
    assert_eq!(is_there(), [true; 4]);
    // Where the recipe is put together: it ends as one that is killed there.
    let in_the_way = home.path("run/train.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let ended = home.train("run", 2, 2, |_| true).unwrap_err();
    assert!(matches!(&ended, Error::File { path, .. } if path.ends_with("train.toml")), "{ended}");
    assert_ne!(Model::open(&home.path("run/model")).unwrap().onnx[0], former[1], "there is another model");
    assert_eq!(is_there(), [false; 4]);
    fs::remove_dir(in_the_way).unwrap();
    home.train("run", 2, 2, |_| true).unwrap();
    assert_eq!(is_there(), [true; 4]);
    let seed = || Recipe::parse(&fs::read_to_string(home.path("run/train.toml")).unwrap()).unwrap().seed;
    assert_eq!(seed(), 2);
    // Nor where somebody has moved the former one away.
    fs::rename(home.path("run/model"), home.path("mine")).unwrap();
    let in_the_way = home.path("run/report.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let ended = home.train("run", 3, 2, |_| true).unwrap_err();
    assert!(matches!(&ended, Error::File { path, .. } if path.ends_with("report.html")), "{ended}");
    assert_eq!((is_there(), seed()), ([true, false, false, true], 3));
}

#[test]
fn a_folder_s_name_breaks_no_table_of_the_card() {
    let home = Home::new();
    fs::rename(home.path("other/grey_things"), home.path("other/grey|things")).unwrap();
    home.train_by(&Recipe { copies: 0, ..recipe() }, "run", 2, |_| true).unwrap();
    let card = String::from_utf8(home.model("run")[2].clone()).unwrap();
    assert!(card.contains("\n| grey\\|things | "), "{card}");
}

#[test]
fn nothing_is_drawn_of_photos_that_there_are_none_of() {
    let home = Home::new();
    let report = |folders: &Folders, output: &str| {
        let training = Training {
            folders,
            recipe: &Recipe { copies: 0, ..recipe() },
            backbone: &home.path("backbone.onnx"),
            output: &home.path(output),
            runtime: runtime(),
            limits: LIMITS,
            threads: 2,
        };
        let metrics = train(&training, |_| true).unwrap();
        (metrics.unknown_errors[100], fs::read_to_string(home.path(output).join("report.html")).unwrap())
    };
    let lines =
        ["of the classes, called unknown", "the same, from contributors", "of none, not called unknown"];
    let (errors, page) = report(&home.folders(), "all");
    assert!(errors.missed.is_some() && errors.refused_contributed.is_some(), "{errors:?}");
    assert!(lines.iter().all(|line| page.contains(line)));
    let studio = Folders { data: vec![home.path("studio")], ..Folders::default() };
    let (errors, page) = report(&studio, "studio");
    assert_eq!((errors.missed, errors.refused_contributed), (None, None));
    assert_eq!(lines.map(|line| page.contains(line)), [true, false, false]);
}

#[test]
fn a_recipe_of_floats_makes_the_model_that_int8_is_held_against() {
    let home = Home::new();
    home.train("int8", 1, 2, |_| true).unwrap();
    let floats = Recipe { precision: Precision::Fp32, ..recipe() };
    let metrics = home.train_by(&floats, "floats", 2, |_| true).unwrap();
    let model = Model::open(&metrics.model).unwrap();
    assert_eq!(model.manifest.precision(), "fp32");
    assert!(metrics.in_floats.is_none() && Model::open_reference(&metrics.model).unwrap().is_none());
    assert_eq!(model.onnx[0], home.model("int8")[3]);
    assert!(model.onnx[0] != home.model("int8")[1]);
}

#[test]
fn too_little_to_learn_from_or_another_backbone_is_refused() {
    let home = Home::new();
    let refused = |home: &Home| home.train("run", 1, 1, |_| true).unwrap_err().to_string();
    fs::write(home.path("backbone.onnx"), handmade::means()).unwrap();
    assert!(refused(&home).contains("its input must be called image and its output features"));
    fs::write(home.path("backbone.onnx"), "MZ").unwrap();
    assert!(refused(&home).contains("no ONNX file"));
    fs::remove_file(home.path("backbone.onnx")).unwrap();
    assert!(refused(&home).contains("make backbone"));
    fs::write(home.path("backbone.onnx"), handmade::backbone()).unwrap();
    for folder in ["studio/train/red_things", "home/red_things"].map(|folder| home.path(folder)) {
        let photos = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        photos.for_each(|photo| fs::write(photo, "no picture").unwrap());
    }
    assert!(refused(&home).contains("of the photos of red things to learn from none can be decoded"));
    for folder in ["studio/train/red_things", "home/red_things"] {
        fs::remove_dir_all(home.path(folder)).unwrap();
    }
    assert!(refused(&home).contains("no photo of red things to learn from"));
}
