use std::ffi::OsStr;
use std::fs;

use autorma_classifier::Limits;
use autorma_evaluation::DataSetError;
use autorma_models::handmade::picture;

use super::*;
use crate::contents::Contents;
use crate::dataset::{Cost, Options, prepare};

/// Photos that lie nowhere, each of a kind, a folder and a group.
pub(crate) fn made(kinds: &[&str], classes: usize, all: &[(usize, usize, usize)]) -> Photos {
    let all = all.iter().enumerate().map(|(number, &(kind, source, group))| Photo {
        path: format!("{number}.jpg").into(),
        part: Split::Train,
        kind,
        source,
        group,
        content: number,
        is_contributed: false,
    });
    Photos { all: all.collect(), kinds: kinds.iter().map(|it| (*it).to_owned()).collect(), classes }
}

fn touch(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

fn found(folders: &Folders) -> Photos {
    Photos::find(folders, Path::new("nowhere")).unwrap()
}

/// The number of a photo.
#[track_caller]
fn number(photos: &Photos, name: &str) -> usize {
    photos.all.iter().position(|it| it.path.ends_with(name)).unwrap()
}

fn folders(root: &Path) -> Folders {
    touch(
        root,
        &[
            "studio/train/shirts/1.jpg",
            "studio/val/casual_shoes/1.jpg",
            "studio/test/shirts/2.jpg",
            "studio/train/other/caps/1.jpg",
            "home/shirts/1.jpg",
            "home/shirts/2.jpg",
            "home/other/T-shirts/3.jpg",
            "home/other/4.jpg",
            "home/other/caps/5.jpg",
            "articles/t_shirts/5.jpg",
            "articles/t_shirts/6.jpg",
            "articles/shirts/7.jpg",
            "scenes/8.jpg",
            "scenes/deeper/9.jpg",
        ],
    );
    let rows = "path,label,contributor\nshirts/1.jpg,\"a, b\",7\nother/T-shirts/3.jpg,x,7\nshirts/2.jpg,x,\n";
    fs::write(root.join("home/manifest.csv"), rows).unwrap();
    let at = |name| vec![root.join(name)];
    Folders {
        data: vec![root.join("studio"), root.join("home")],
        other: at("articles"),
        backgrounds: at("scenes"),
    }
}

#[test]
fn folders_say_what_photos_show_and_what_they_are_for() {
    let root = tempfile::tempdir().unwrap();
    let photos = found(&folders(root.path()));
    assert_eq!(photos.kinds[..2], ["casual shoes", "shirts"]);
    assert_eq!(photos.kinds[2..], ["background", "caps", "other", "other shirts", "t shirts"]);
    let photo = |name: &str| &photos.all[number(&photos, name)];
    let told = |name: &str| (photos.kinds[photo(name).kind].as_str(), photo(name).part);
    assert_eq!(told("studio/train/shirts/1.jpg"), ("shirts", Split::Train));
    assert_eq!(told("studio/val/casual_shoes/1.jpg"), ("casual shoes", Split::Val));
    assert_eq!(told("studio/test/shirts/2.jpg"), ("shirts", Split::Test));
    assert_eq!(told("studio/train/other/caps/1.jpg"), ("caps", Split::Train));
    assert_eq!(told("home/other/T-shirts/3.jpg"), ("t shirts", Split::Train));
    assert_eq!(told("home/other/4.jpg"), ("other", Split::Train));
    assert_eq!(told("articles/shirts/7.jpg"), ("other shirts", Split::Train));
    assert_eq!(told("scenes/deeper/9.jpg"), (BACKGROUND, Split::Train));
    let sent: Vec<_> = photos.all.iter().filter(|it| it.is_contributed).map(|it| it.group).collect();
    assert_eq!(sent, [number(&photos, "T-shirts/3.jpg"); 2]);
    assert_eq!(photo("articles/t_shirts/5.jpg").group, photo("articles/t_shirts/6.jpg").group);
    assert_ne!(photo("scenes/8.jpg").group, photo("scenes/deeper/9.jpg").group);
}

#[test]
fn photos_are_in_the_same_order_wherever_their_folders_lie() {
    let order = |studio: &str, other: &str| -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let at = |folder: &str, name: &str| format!("{folder}/{name}");
        let names = [
            at(studio, "studio/train/tops/1.jpg"),
            at(studio, "studio/val/shirts/2.jpg"),
            at("m", "home/shirts/3.jpg"),
            at("m", "home/tops/1.jpg"),
            at(other, "studio/train/tops/1.jpg"),
            at(other, "studio/train/tops/4.jpg"),
        ];
        touch(root.path(), &names.each_ref().map(|name| name.as_str()));
        let data = [at(studio, "studio"), at("m", "home"), at(other, "studio")];
        let data = data.map(|folder| root.path().join(folder));
        let photos = found(&Folders { data: data.to_vec(), ..Folders::default() });
        let of = |photo: &Photo| format!("{} of {}", photo.path.file_name().unwrap().display(), photo.source);
        photos.all.iter().map(of).collect()
    };
    let expected = ["3.jpg of 1", "1.jpg of 1", "1.jpg of 0", "1.jpg of 2", "4.jpg of 2", "2.jpg of 0"];
    for (studio, other) in [("a", "z"), ("z", "a"), ("n", "o")] {
        assert_eq!(order(studio, other), expected, "{studio} and {other}");
    }
}

#[test]
fn a_folder_named_background_holds_scenes() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["shirts/1.jpg", "tops/2.jpg", "background/3.jpg"]);
    let photos = found(&Folders { data: vec![root.path().into()], ..Folders::default() });
    assert_eq!((photos.classes, &*photos.kinds), (2, &["shirts", "tops", BACKGROUND].map(str::to_owned)[..]));
    assert!(photos.is_scene(&photos.all[number(&photos, "3.jpg")]));
}

#[test]
fn scenes_are_called_background_or_backgrounds_wherever_they_lie() {
    for name in [BACKGROUND, "backgrounds", "Backgrounds"] {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["data/shirts/1.jpg", "data/tops/2.jpg", "articles/caps/6.jpg"]);
        let scenes = [format!("data/{name}/streets/3.jpg"), format!("data/other/{name}/4.jpg")];
        touch(root.path(), &scenes.each_ref().map(|scene| scene.as_str()));
        touch(root.path(), &[format!("articles/{name}/5.jpg").as_str()]);
        let at = |name| vec![root.path().join(name)];
        let photos = found(&Folders { data: at("data"), other: at("articles"), ..Folders::default() });
        assert_eq!(photos.kinds[2..], [BACKGROUND, "caps"]);
        for scene in ["3.jpg", "4.jpg", "5.jpg"] {
            assert!(photos.is_scene(&photos.all[number(&photos, scene)]), "{name}: {scene}");
        }
    }
}

#[test]
fn a_folder_whose_name_no_manifest_may_have_is_refused_before_anything_is_learned() {
    for name in ["a".repeat(129), "a\nb".into()] {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &["shirts/1.jpg", &format!("{name}/2.jpg")]);
        let folders = Folders { data: vec![root.path().into()], ..Folders::default() };
        let refused = Photos::find(&folders, Path::new("nowhere"));
        assert!(matches!(&refused, Err(Error::Unnameable(it)) if *it == name), "{refused:?}");
    }
}

#[test]
fn more_kinds_than_a_manifest_may_have_are_refused_before_anything_is_learned() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["shirts/1.jpg", "tops/1.jpg"]);
    (2..MOST_OUTPUTS).for_each(|kind| touch(root.path(), &[format!("other/kind {kind}/1.jpg").as_str()]));
    let folders = Folders { data: vec![root.path().into()], ..Folders::default() };
    assert_eq!(found(&folders).kinds.len(), MOST_OUTPUTS);
    touch(root.path(), &["other/one more/1.jpg"]);
    let refused = Photos::find(&folders, Path::new("nowhere")).unwrap_err();
    assert!(matches!(refused, Error::TooManyKinds(kinds) if kinds == MOST_OUTPUTS + 1), "{refused}");
    assert!(refused.to_string().contains("at most 1000"), "{refused}");
}

#[test]
fn what_is_named_for_none_of_the_classes_must_have_a_photo_of_none() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["shirts/1.jpg", "tops/2.jpg"]);
    let at = || vec![root.path().to_owned()];
    let refused =
        Photos::find(&Folders { data: at(), other: at(), ..Folders::default() }, Path::new("nowhere"));
    assert!(matches!(refused, Err(Error::Photos(DataSetError::NoStranger(_)))), "{refused:?}");
}

#[test]
fn who_judges_a_kind_that_nobody_has_thought_of_has_learned_it_from_nobody() {
    let root = tempfile::tempdir().unwrap();
    let photos = found(&folders(root.path()));
    let group = |name: &str| photos.all[number(&photos, name)].group;
    assert_eq!(group("train/other/caps/1.jpg"), group("home/other/caps/5.jpg"), "of two folders");
    let folds = photos.folds(3);
    let [sent, shirt, shown] =
        ["T-shirts/3.jpg", "home/shirts/1.jpg", "t_shirts/5.jpg"].map(|name| number(&photos, name));
    let fold = (0..3).find(|fold| folds.judges(*fold, shown)).unwrap();
    assert!(!folds.judges(fold, sent) && !folds.learns(fold, sent));
    assert!((0..3).any(|fold| folds.judges(fold, sent) && folds.judges(fold, shirt)), "with who has sent it");
}

#[test]
fn what_shares_a_contributor_or_looks_alike_is_one_group() {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        &["shirts/1.jpg", "shirts/2.jpg", "shirts/3.jpg", "shirts/4.jpg", "tops/5.jpg", "other/caps/6.jpg"],
    );
    touch(root.path(), &["other/caps/7.jpg", "tops/8.jpg"]);
    // Anna and Ben have sent the same picture, and one cap looks like another of Ben's photos.
    let rows = "path,contributor,group\nshirts/1.jpg,Anna,1\nshirts/2.jpg,Anna,2\nshirts/3.jpg,Ben,2\ntops/5.jpg,Ben,3\n\
                other/caps/6.jpg,,3\nshirts/4.jpg,,4\ntops/8.jpg,Carl,\n";
    fs::write(root.path().join("manifest.csv"), rows).unwrap();
    let photos = found(&Folders { data: vec![root.path().into()], ..Folders::default() });
    let group = |name: &str| photos.all[number(&photos, name)].group;
    let together = ["1.jpg", "2.jpg", "3.jpg", "5.jpg", "6.jpg", "7.jpg"].map(group);
    assert_eq!(together, [number(&photos, "6.jpg"); 6], "a kind is held out whole");
    let alone = ["4.jpg", "8.jpg"];
    assert_eq!(alone.map(group), alone.map(|name| number(&photos, name)));
}

/// Writes pictures, each of so much red.
fn draw(root: &Path, pictures: &[(&str, u8)]) {
    for &(name, red) in pictures {
        touch(root, &[name]);
        fs::write(root.join(name), picture([red, 0, 0])).unwrap();
    }
}

/// What is found there when copies are joined.
fn found_once(folders: &Folders) -> Photos {
    let mut photos = found(folders);
    let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };
    let mut contents = Contents::read(&photos, limits, 2, &mut |_| true).unwrap();
    photos.join_copies(&mut contents);
    for (number, photo) in photos.all.iter().enumerate() {
        assert_eq!(contents.file(&photos, number).unwrap(), fs::read(&photo.path).unwrap());
    }
    photos
}

#[test]
fn copies_are_one_photo_wherever_they_lie() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    draw(
        root.path(),
        &[
            ("studio/train/shirts/1.bmp", 10),
            ("studio/train/tops/2.bmp", 20),
            ("studio/val/tops/3.bmp", 30),
            ("studio/val/tops/4.bmp", 40),
            ("studio/test/shirts/5.bmp", 50),
            ("studio/test/shirts/6.bmp", 40),
            ("home/shirts/first.bmp", 50),
            ("home/shirts/same.bmp", 10),
            ("home/tops/mine.bmp", 60),
            ("home/tops/third.bmp", 30),
        ],
    );
    touch(root.path(), &["home/tops/empty.bmp", "home/tops/nothing.bmp"]);
    let rows = "path,contributor\nshirts/same.bmp,Anna\ntops/mine.bmp,Anna\ntops/third.bmp,Ben\n";
    fs::write(at("home/manifest.csv"), rows).unwrap();
    let photos = found_once(&Folders { data: vec![at("studio"), at("home")], ..Folders::default() });
    let names: Vec<_> = photos.all.iter().map(|it| it.path.file_name().unwrap().to_str().unwrap()).collect();
    let [of_home, of_studio] = [
        &["same.bmp", "empty.bmp", "mine.bmp", "nothing.bmp"][..],
        &["5.bmp", "6.bmp", "1.bmp", "2.bmp", "3.bmp"],
    ];
    assert_eq!(names, [of_home, of_studio].concat());
    let group = |name: &str| photos.all[number(&photos, name)].group;
    assert_eq!(["same.bmp", "1.bmp", "mine.bmp"].map(group), [number(&photos, "same.bmp"); 3]);
    let alone = ["empty.bmp", "nothing.bmp", "2.bmp", "3.bmp", "5.bmp", "6.bmp"];
    assert_eq!(alone.map(group), alone.map(|name| number(&photos, name)));
    let folds = photos.folds(5);
    let [home, studio] = ["same.bmp", "1.bmp"].map(|name| number(&photos, name));
    assert!((0..5).all(|fold| folds.judges(fold, home) == folds.judges(fold, studio)));
}

#[test]
fn copies_that_are_together_anyway_change_no_group() {
    let root = tempfile::tempdir().unwrap();
    let folders = folders(root.path());
    for (number, photo) in (0_u8..).zip(found(&folders).all) {
        // Of two photos of one kind, which are together anyway, one is a copy.
        let red = if photo.path.ends_with("t_shirts/6.jpg") { number - 1 } else { number };
        fs::write(photo.path, picture([red, 0, 0])).unwrap();
    }
    let groups = |photos: Photos| -> Vec<usize> { photos.all.iter().map(|it| it.group).collect() };
    assert_eq!(groups(found_once(&folders)), groups(found(&folders)));
}

#[test]
fn groups_that_are_learned_from_and_in_the_test_are_counted() {
    let mut photos = made(&["shirts", "tops"], 2, &[(0, 0, 0); 6]);
    let parts = [Split::Train, Split::Test, Split::Train, Split::Test, Split::Val, Split::Test];
    photos.all.iter_mut().zip(parts).for_each(|(photo, part)| photo.part = part);
    let mut groups = Groups::new(6);
    assert_eq!(photos.known_in_test(&mut groups), 0);
    groups.join(0, 1);
    groups.join(4, 5);
    assert_eq!(photos.known_in_test(&mut groups), 1);
    groups.join(2, 3);
    assert_eq!(photos.known_in_test(&mut groups), 2);
}

#[test]
fn what_is_named_for_something_else_is_no_class() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["shirts/1.jpg", "tops/2.jpg", "hats/3.jpg", "streets/4.jpg", "run/lock"]);
    touch(root.path(), &[".thumbnails/1.jpg", "tops/.checkpoints/2.jpg", "belts/train/5.jpg", "runs/1/lock"]);
    let at = |name: &str| root.path().join(name);
    let folders = Folders {
        data: vec![at("")],
        other: vec![at("hats"), at("belts")],
        backgrounds: vec![at("streets/../streets")],
    };
    for (output, kinds) in [
        ("run", ["runs", "shirts", "tops", BACKGROUND, "other"]),
        ("runs/1", ["run", "shirts", "tops", BACKGROUND, "other"]),
        ("runs/2", ["run", "shirts", "tops", BACKGROUND, "other"]),
    ] {
        let photos = Photos::find(&folders, &at(output)).unwrap();
        assert_eq!((photos.kinds, photos.all.len()), (kinds.map(str::to_owned).to_vec(), 5), "{output}");
    }
}

#[test]
fn a_folder_of_data_in_another_is_none_of_its_classes() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["shirts/1.jpg", "tops/2.jpg", "home/shirts/3.jpg"]);
    touch(root.path(), &["studio/train/tops/4.jpg", "tops/more/shirts/5.jpg"]);
    let data = ["", "home", "studio", "tops/more"].map(|name| root.path().join(name));
    let photos = found(&Folders { data: data.into(), ..Folders::default() });
    assert_eq!(photos.kinds, ["shirts", "tops"]);
    let kind = |name: &str| photos.all[number(&photos, name)].kind;
    assert_eq!(["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"].map(kind), [0, 1, 0, 1, 0]);
}

#[test]
fn what_trainings_have_written_is_no_class_wherever_the_next_one_writes() {
    let split = ["train/shirts/1.jpg", "val/tops/2.jpg"];
    for names in [["shirts/1.jpg", "tops/2.jpg"], split] {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), &names);
        touch(root.path(), &["first/train.toml", "runs/1/train.toml", "runs/1/model/manifest.json"]);
        if names == split {
            touch(root.path(), &["train/out/train.toml", "val/runs/1/train.toml"]);
        }
        let folders = Folders { data: vec![root.path().into()], ..Folders::default() };
        let look = |output: &str| {
            let photos = Photos::find(&folders, &root.path().join(output)).unwrap();
            assert_eq!(photos.kinds, ["shirts", "tops"], "{names:?}, then {output:?}");
        };
        for output in ["first", "second", "runs/2", ""] {
            look(output);
        }
        // The last one has written beside the photos: its recipe last, if nobody has killed it.
        touch(root.path(), &["model/manifest.json"]);
        look("");
        touch(root.path(), &["train.toml"]);
        for output in ["", "second"] {
            look(output);
        }
    }
}

#[test]
fn another_article_is_of_no_class_whatever_classes_are_called() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["data/shirts/1.jpg", "data/other_shirts/2.jpg", "articles/shirts/3.jpg"]);
    let at = |name| vec![root.path().join(name)];
    let photos = found(&Folders { data: at("data"), other: at("articles"), ..Folders::default() });
    assert_eq!((photos.classes, &*photos.kinds[2]), (2, "other other shirts"));
    assert!(!photos.is_of_class(&photos.all[number(&photos, "3.jpg")]));
}

#[test]
fn what_a_list_says_is_known_of_a_side_that_is_a_link_too() {
    let root = tempfile::tempdir().unwrap();
    touch(root.path(), &["elsewhere/shirts/1.jpg", "elsewhere/tops/2.jpg", "set/val/shirts/3.jpg"]);
    std::os::unix::fs::symlink(root.path().join("elsewhere"), root.path().join("set/train")).unwrap();
    let rows = "path,contributor,group\ntrain/shirts/1.jpg,Anna,\ntrain/tops/2.jpg,,7\nval/shirts/3.jpg,,7\n";
    fs::write(root.path().join("set/manifest.csv"), rows).unwrap();
    let photos = found(&Folders { data: vec![root.path().join("set")], ..Folders::default() });
    let photo = |name: &str| &photos.all[number(&photos, name)];
    assert!(photo("1.jpg").is_contributed && photo("1.jpg").part == Split::Train);
    assert_eq!(photo("2.jpg").group, photo("3.jpg").group);
}

#[test]
fn others_and_scenes_may_be_split_too() {
    let root = tempfile::tempdir().unwrap();
    touch(
        root.path(),
        &["photos/shirts/1.jpg", "photos/tops/2.jpg", "scenes/train/3.jpg", "scenes/val/4.jpg"],
    );
    touch(root.path(), &["articles/train/caps/5.jpg", "articles/val/ties/6.jpg", "articles/test/caps/7.jpg"]);
    fs::write(root.path().join("articles/manifest.csv"), "path,contributor\ntrain/caps/5.jpg,Anna\n")
        .unwrap();
    fs::create_dir_all(root.path().join("scenes/test")).unwrap();
    let at = |name| vec![root.path().join(name)];
    let photos = found(&Folders { data: at("photos"), other: at("articles"), backgrounds: at("scenes") });
    assert_eq!(photos.kinds[2..], [BACKGROUND, "caps", "ties"]);
    let part = |name: &str| photos.all[number(&photos, name)].part;
    assert_eq!(["3.jpg", "4.jpg"].map(part), [Split::Train, Split::Val]);
    assert_eq!(["5.jpg", "6.jpg", "7.jpg"].map(part), [Split::Train, Split::Val, Split::Test]);
    assert!(photos.all[number(&photos, "5.jpg")].is_contributed);
}

#[test]
fn who_has_sent_a_photo_is_known_of_a_prepared_data_set_too() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    let names = ["shirts/1.bmp", "shirts/2.bmp", "tops/3.bmp", "tops/4\\.bmp"];
    touch(&from, &names);
    for (number, name) in names.iter().enumerate() {
        fs::write(from.join(name), picture([60 * number as u8; 3])).unwrap();
    }
    let list = "path,contributor\nshirts/1.bmp,Anna\nshirts/2.bmp,\ntops/4\\x5C.bmp,Anna\n";
    fs::write(from.join("manifest.csv"), list).unwrap();
    let limits = Limits { bytes: 1 << 20, pixels: 1 << 20, memory: 1 << 24 };
    for group_by in ["contributor", "none"] {
        let options = Options {
            per_class: None,
            ratio: "70/15/15".parse().unwrap(),
            group_by: group_by.parse().ok(),
            near: 0,
            seed: 0,
            force: false,
        };
        prepare(&from, &to, &options, Cost { limits, threads: 1 }, &mut |_| true).unwrap();
        let photos = found(&Folders { data: vec![to.clone()], ..Folders::default() });
        let sent = photos.all.iter().filter(|it| it.is_contributed);
        let (mut names, groups): (Vec<_>, BTreeSet<_>) =
            sent.map(|it| (it.path.file_name().unwrap(), it.group)).unzip();
        names.sort();
        assert_eq!(names, ["1.bmp", "4\\.bmp"].map(OsStr::new), "grouped by {group_by}");
        assert_eq!(groups.len(), 1, "grouped by {group_by}");
    }
}
