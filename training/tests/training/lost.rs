use super::*;

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
