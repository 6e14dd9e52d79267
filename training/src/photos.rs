mod sources;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use autorma_evaluation::{DataSet, Label, classes_in, plain};

use crate::Error;
use sources::{Role, Source, real, sources};

/// The kind of what shows no article at all.
pub(crate) const BACKGROUND: &str = "background";
/// The column of `manifest.csv` that says who has sent a photo.
pub(crate) const CONTRIBUTOR: &str = "contributor";
/// The column of `manifest.csv` that says which photos look alike: those of one number.
const GROUP: &str = "group";

/// Folders of photos to learn from.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// Each with a folder a class, or with such folders in `train`, `val` and `test`; and with `other`, `unknown`, `none` or
    /// `backgrounds` for what is none of the classes. `manifest.csv` may say in a column `contributor` who has sent which
    /// `path`, and in a column `group` which look alike.
    pub data: Vec<PathBuf>,
    /// Photos of other articles, a folder each.
    pub other: Vec<PathBuf>,
    /// Photos of scenes without any article.
    pub backgrounds: Vec<PathBuf>,
}

/// What a photo is for. Whatever is said of learning here, scenes of all parts but `Test` stand behind cut-out articles in
/// what every head learns; only as scenes they are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The shipped head learns from it, and of the heads that judge all but the one that judges its group.
    Train,
    /// No head learns from it, and one judges it.
    Validation,
    /// Looked at once in a training, at the end.
    Test,
}

/// A photo to learn from or to judge by.
#[derive(Debug, Clone)]
pub(crate) struct Photo {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
    /// The number of its kind in [`Photos::kinds`].
    pub(crate) kind: usize,
    /// Photos of a group are never on both sides of a division. Those of one folder come first with its number.
    pub(crate) group: (usize, String),
    /// Whether a contributor has sent it.
    pub(crate) is_contributed: bool,
}

/// All photos, in the order of their paths.
#[derive(Debug, Clone)]
pub(crate) struct Photos {
    /// The classes, then each kind of thing that is none of them, in alphabetical order each.
    pub(crate) kinds: Vec<String>,
    /// How many of the kinds are classes.
    pub(crate) classes: usize,
    pub(crate) all: Vec<Photo>,
}

impl Photos {
    pub(crate) fn find(folders: &Folders) -> Result<Self, Error> {
        let sources = sources(folders)?;
        let of = |wanted: fn(Role) -> bool| -> Vec<PathBuf> {
            sources.iter().filter(|it| wanted(it.role)).map(|it| it.folder.clone()).collect()
        };
        let data = of(|role| matches!(role, Role::Data(_)));
        let mut kinds = classes_in(&data)?;
        let classes = kinds.len();
        let set = DataSet::read(&kinds, &data, &of(|role| !matches!(role, Role::Data(_))))?;
        for path in &set.loose {
            tracing::warn!(path = %path.display(), "left out: a photo in no folder of a class, or a link to a folder");
        }
        let listed = listed(folders)?;
        let found: Vec<_> = set
            .photos
            .iter()
            .filter_map(|photo| Some((photo, sources.iter().find(|it| photo.path.starts_with(&it.folder))?)))
            .map(|(photo, source)| {
                let kind = match photo.label {
                    Label::Class(number) => kinds[number].clone(),
                    Label::Stranger => stranger(&photo.path, source, &kinds),
                };
                (photo, source, kind)
            })
            .collect();
        let strangers: BTreeSet<_> = found.iter().map(|(_, _, kind)| kind.clone()).collect();
        kinds.extend(strangers.into_iter().filter(|kind| !kinds.contains(kind)).collect::<Vec<_>>());
        let all = found.into_iter().map(|(photo, source, kind)| {
            let Listed { contributor, group } = listed.get(&photo.path).cloned().unwrap_or_default();
            let is_contributed = contributor.is_some();
            let group = match (contributor, photo.label, group) {
                (Some(contributor), ..) => format!("contributor {contributor}"),
                // Photos of kinds that nobody has thought of will come: whole kinds are held out.
                (None, Label::Stranger, _) if kind != BACKGROUND => kind.clone(),
                (None, _, Some(group)) => format!("group {group}"),
                (None, _, None) => photo.path.display().to_string(),
            };
            Photo {
                path: photo.path.clone(),
                part: if let Role::Data(part) = source.role { part } else { Part::Train },
                kind: kinds.iter().position(|it| *it == kind).unwrap_or_default(),
                group: (source.number, group),
                is_contributed,
            }
        });
        Ok(Self { all: all.collect(), kinds, classes })
    }

    /// For each photo the number of the head that judges it, if one does: groups go, largest first, to the fold that has the
    /// fewest photos of their folder.
    pub(crate) fn folds(&self, folds: usize) -> Vec<Option<usize>> {
        let is_judged = |photo: &&Photo| photo.part != Part::Test;
        let mut sizes: BTreeMap<&(usize, String), usize> = BTreeMap::new();
        for photo in self.all.iter().filter(is_judged) {
            *sizes.entry(&photo.group).or_default() += 1;
        }
        let mut groups: Vec<_> = sizes.into_iter().collect();
        groups.sort_by_key(|(group, size)| (std::cmp::Reverse(*size), *group));
        let mut filled: HashMap<(usize, usize), usize> = HashMap::new();
        let mut fold_of = HashMap::new();
        for (group, size) in groups {
            let photos = |fold: &usize| filled.get(&(group.0, *fold)).copied().unwrap_or_default();
            let fold = (0..folds).min_by_key(|fold| (photos(fold), *fold)).unwrap_or_default();
            *filled.entry((group.0, fold)).or_default() += size;
            fold_of.insert(group, fold);
        }
        let fold = |photo| Some(photo).filter(is_judged).and_then(|it| fold_of.get(&it.group).copied());
        self.all.iter().map(fold).collect()
    }

    /// For each photo the number of the head that judges it and has learned others of its kind, if one does: only for those
    /// whose kinds are held out whole by [`Self::folds`].
    pub(crate) fn folds_within_kinds(&self, folds: usize) -> Vec<Option<usize>> {
        let mut next = (0..folds).cycle();
        self.all.iter().map(|photo| next.next().filter(|_| self.is_of_others(photo))).collect()
    }

    /// Whether it is learned from and shows something else that no contributor has sent: neither a class nor a scene.
    pub(crate) fn is_of_others(&self, photo: &Photo) -> bool {
        let is_article = !self.is_of_class(photo) && self.kinds[photo.kind] != BACKGROUND;
        is_article && photo.part == Part::Train && !photo.is_contributed
    }

    /// Whether it shows an article of a class.
    pub(crate) fn is_of_class(&self, photo: &Photo) -> bool {
        photo.kind < self.classes
    }
}

/// What a photo of none of the classes shows, by the folder that it is in.
fn stranger(path: &Path, source: &Source, classes: &[String]) -> String {
    let inside = path.strip_prefix(&source.folder).unwrap_or(path);
    let mut names = inside
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .map(|it| plain(&it.as_os_str().to_string_lossy()));
    let name = match source.role {
        Role::Backgrounds => BACKGROUND.to_owned(),
        Role::Other => names.next().unwrap_or_else(|| "other".into()),
        // `other/caps/1.jpg`: what is a folder of its own in there is a kind of its own.
        Role::Data(_) => {
            let outer = names.next().unwrap_or_default();
            match outer.as_str() {
                "backgrounds" => BACKGROUND.to_owned(),
                _ => names.next().unwrap_or(outer),
            }
        }
    };
    if classes.contains(&name) { format!("other {name}") } else { name }
}

/// What a manifest says of a photo.
#[derive(Debug, Clone, Default)]
struct Listed {
    /// Who has sent it.
    contributor: Option<String>,
    /// The look-alikes that it belongs to.
    group: Option<String>,
}

/// What manifests say of photos, by their paths.
fn listed(folders: &Folders) -> Result<HashMap<PathBuf, Listed>, Error> {
    let mut listed = HashMap::new();
    for folder in folders.data.iter().chain(&folders.other) {
        let folder = real(folder)?;
        let path = folder.join("manifest.csv");
        if !path.is_file() {
            continue;
        }
        let wrong = |error: csv::Error| Error::List { path: path.clone(), cause: error.to_string() };
        let mut rows = csv::Reader::from_path(&path).map_err(wrong)?;
        let names = rows.headers().map_err(wrong)?.clone();
        let column = |wanted: &str| names.iter().position(|name| name == wanted);
        let (file, contributor, group) = (column("path"), column(CONTRIBUTOR), column(GROUP));
        for row in rows.records() {
            let row = row.map_err(wrong)?;
            let cell = |column: Option<usize>| {
                column.and_then(|it| row.get(it)).filter(|it| !it.is_empty()).map(str::to_owned)
            };
            if let Some(file) = cell(file) {
                listed
                    .insert(folder.join(file), Listed { contributor: cell(contributor), group: cell(group) });
            }
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use autorma_classifier::Limits;
    use autorma_models::handmade::picture;

    use super::*;
    use crate::dataset::{Cost, Options, Watcher, prepare};

    fn touch(root: &Path, files: &[&str]) {
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
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
                "articles/t_shirts/5.jpg",
                "articles/t_shirts/6.jpg",
                "articles/shirts/7.jpg",
                "scenes/8.jpg",
                "scenes/deeper/9.jpg",
            ],
        );
        let rows =
            "path,label,contributor\nshirts/1.jpg,\"a, b\",7\nother/T-shirts/3.jpg,x,7\nshirts/2.jpg,x,\n";
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
        let photos = Photos::find(&folders(root.path())).unwrap();
        assert_eq!(photos.kinds[..2], ["casual shoes", "shirts"]);
        assert_eq!(photos.kinds[2..], ["background", "caps", "other", "other shirts", "t shirts"]);
        let real = root.path().canonicalize().unwrap();
        let photo = |name: &str| photos.all.iter().find(|it| it.path == real.join(name)).unwrap();
        let told = |name: &str| (photos.kinds[photo(name).kind].as_str(), photo(name).part);
        assert_eq!(told("studio/train/shirts/1.jpg"), ("shirts", Part::Train));
        assert_eq!(told("studio/val/casual_shoes/1.jpg"), ("casual shoes", Part::Validation));
        assert_eq!(told("studio/test/shirts/2.jpg"), ("shirts", Part::Test));
        assert_eq!(told("studio/train/other/caps/1.jpg"), ("caps", Part::Train));
        assert_eq!(told("home/other/T-shirts/3.jpg"), ("t shirts", Part::Train));
        assert_eq!(told("home/other/4.jpg"), ("other", Part::Train));
        assert_eq!(told("articles/shirts/7.jpg"), ("other shirts", Part::Train));
        assert_eq!(told("scenes/deeper/9.jpg"), (BACKGROUND, Part::Train));
        let sent: Vec<_> = photos.all.iter().filter(|it| it.is_contributed).map(|it| &it.group.1).collect();
        assert_eq!(sent, ["contributor 7", "contributor 7"]);
        assert_eq!(photo("articles/t_shirts/5.jpg").group, photo("articles/t_shirts/6.jpg").group);
        assert_ne!(photo("scenes/8.jpg").group, photo("scenes/deeper/9.jpg").group);
    }

    #[test]
    fn look_alikes_that_a_manifest_names_are_a_group() {
        let root = tempfile::tempdir().unwrap();
        touch(
            root.path(),
            &["shirts/1.jpg", "shirts/2.jpg", "shirts/3.jpg", "tops/4.jpg", "other/caps/5.jpg"],
        );
        let rows =
            "path,group\nshirts/1.jpg,7\nshirts/2.jpg,7\nshirts/3.jpg,\ntops/4.jpg,8\nother/caps/5.jpg,7\n";
        fs::write(root.path().join("manifest.csv"), rows).unwrap();
        let photos = Photos::find(&Folders { data: vec![root.path().into()], ..Folders::default() }).unwrap();
        let group = |name: &str| &photos.all.iter().find(|it| it.path.ends_with(name)).unwrap().group.1;
        assert_eq!([group("1.jpg"), group("2.jpg"), group("4.jpg")], ["group 7", "group 7", "group 8"]);
        assert!(group("3.jpg").ends_with("3.jpg"));
        assert_eq!(group("5.jpg"), "caps", "a kind is held out whole");
    }

    struct Nobody;

    impl Watcher for Nobody {
        fn begins(&self, _step: &'static str, _photos: usize) {}
        fn done(&self) {}
        fn stops(&self) -> bool {
            false
        }
    }

    #[test]
    fn who_has_sent_a_photo_is_known_of_a_prepared_data_set_too() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        let names = ["shirts/1.bmp", "shirts/2.bmp", "tops/3.bmp", "tops/4.bmp"];
        touch(&from, &names);
        for (number, name) in names.iter().enumerate() {
            fs::write(from.join(name), picture([60 * number as u8; 3])).unwrap();
        }
        let list = "path,contributor\nshirts/1.bmp,Anna\nshirts/2.bmp,\ntops/3.bmp,Anna\n";
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
            prepare(&from, &to, &options, Cost { limits, threads: 1 }, &Nobody).unwrap();
            let photos = Photos::find(&Folders { data: vec![to.clone()], ..Folders::default() }).unwrap();
            let sent = photos.all.iter().filter(|it| it.is_contributed);
            let mut sent: Vec<_> = sent.map(|it| (it.path.file_name().unwrap(), &*it.group.1)).collect();
            sent.sort();
            let expected = ["1.bmp", "3.bmp"].map(|name| (OsStr::new(name), "contributor Anna"));
            assert_eq!(sent, expected, "grouped by {group_by}");
        }
    }

    #[test]
    fn a_group_is_in_one_fold_and_folds_are_alike() {
        let root = tempfile::tempdir().unwrap();
        let mut photos = Photos::find(&folders(root.path())).unwrap();
        let one = photos.all.iter().find(|it| it.part == Part::Train).unwrap().clone();
        let many =
            (0..300).map(|number| Photo { group: (9, format!("group {}", number % 37)), ..one.clone() });
        photos.all.extend(many);
        let folds = photos.folds(5);
        let mut of_group = HashMap::new();
        for (photo, fold) in photos.all.iter().zip(&folds) {
            let is_judged = photo.part != Part::Test;
            assert_eq!(fold.is_some(), is_judged, "{photo:?}");
            assert_eq!(of_group.entry(&photo.group).or_insert(fold), &fold, "{photo:?}");
        }
        let size = |wanted| {
            let all = photos.all.iter().zip(&folds);
            all.filter(|(photo, fold)| photo.group.0 == 9 && **fold == Some(wanted)).count()
        };
        assert!(
            (0..5).all(|fold| (50..=70).contains(&size(fold))),
            "{:?}",
            (0..5).map(size).collect::<Vec<_>>()
        );
    }

    #[test]
    fn within_kinds_photos_are_dealt_and_the_heads_that_judge_them_have_learned_others_of_their_kinds() {
        let root = tempfile::tempdir().unwrap();
        let mut photos = Photos::find(&folders(root.path())).unwrap();
        let one = photos.all.iter().find(|it| it.path.ends_with("t_shirts/5.jpg")).unwrap().clone();
        photos.all.extend(std::iter::repeat_n(one.clone(), 20));
        let folds = photos.folds_within_kinds(5);
        for (photo, fold) in photos.all.iter().zip(&folds) {
            let is_other = photo.group.1 == photos.kinds[photo.kind] && photo.part == Part::Train;
            assert_eq!(fold.is_some(), is_other && photo.kind >= photos.classes, "{photo:?}");
        }
        let of_kind = || photos.all.iter().zip(&folds).filter(|(photo, _)| photo.group == one.group);
        for fold in 0..5 {
            let judged = of_kind().filter(|(_, it)| **it == Some(fold)).count();
            assert!((4..=5).contains(&judged), "{judged} in fold {fold}");
        }
    }
}
