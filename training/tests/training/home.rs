use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use autorma_classifier::{Limits, Runtime};
use autorma_models::handmade;
use autorma_training::{Error, Folders, Metrics, Progress, Recipe, Training, What, train};
use image::{Rgb, RgbImage};

pub(crate) const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1_000_000, memory: 16 << 20 };

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(Runtime::of_the_clone)
}

pub(crate) fn recipe() -> Recipe {
    Recipe { copies: 3, folds: 2, ..Recipe::default() }
}

/// How many of these are done, if that is what is said.
pub(crate) fn done(progress: Progress, wanted: What) -> Option<usize> {
    match progress {
        Progress::Count { what, done, .. } if what == wanted => Some(done),
        _ => None,
    }
}

/// Photos of two classes that a split divides, of two others that a contributor sent, and of what is none of them.
pub(crate) struct Home {
    pub(crate) root: tempfile::TempDir,
    /// Where the split is.
    pub(crate) studio: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Things of about this colour, on white.
    pub(crate) fn draw(&self, folder: &str, count: u8, colour: [u8; 3]) {
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

    pub(crate) fn folders(&self) -> Folders {
        Folders {
            data: vec![self.root.path().join(&self.studio), self.path("home")],
            other: vec![self.path("other")],
            backgrounds: vec![self.path("scenes")],
        }
    }

    pub(crate) fn train(
        &self,
        output: &str,
        seed: u64,
        threads: usize,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<Metrics, Error> {
        self.train_by(&Recipe { seed, ..recipe() }, output, threads, progress)
    }

    pub(crate) fn train_by(
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
    pub(crate) fn model(&self, output: &str) -> [Vec<u8>; 4] {
        ["manifest.json", "refund-classifier.onnx", "CARD.md", "refund-classifier.fp32.onnx"]
            .map(|file| fs::read(self.path(output).join("model").join(file)).unwrap())
    }
}
