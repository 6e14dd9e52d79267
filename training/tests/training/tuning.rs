use super::*;

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
