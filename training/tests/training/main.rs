//! Whole trainings, on a backbone and pictures that were made by hand.

mod home;
mod lost;
mod tuning;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use autorma_classifier::Limits;
use autorma_evaluation::NotJudged;
use autorma_models::{Model, handmade};
use autorma_training::{
    Augmentation, Error, Folders, Precision, Progress, Recipe, Section, Training, Tuning, Weights, What,
    train,
};
use image::{Rgb, RgbImage};

use home::{Home, LIMITS, done, recipe, runtime};

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
    // What is kept of one recipe's variations is of no other.
    let milder = Augmentation { paste: 0.0, ..Augmentation::default() };
    for recipe in [Recipe { seed: 2, ..recipe() }, Recipe { seed: 2, augmentation: milder, ..recipe() }] {
        for folder in ["run", "fresh"] {
            home.train_by(&recipe, folder, 2, |_| true).unwrap();
        }
        assert_eq!(home.model("run"), home.model("fresh"));
        fs::remove_dir_all(home.path("fresh")).unwrap();
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
