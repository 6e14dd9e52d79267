use std::fs;
use std::path::{Path, PathBuf};

/// The folder of shared test data. None where it is missing and this isn't CI; in CI that is a failure.
pub fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let there = folder.join("data").is_dir();
    assert!(there || std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    if !there {
        eprintln!("skipped: there is no {}", folder.display());
    }
    there.then_some(folder)
}

/// Photographs to classify.
#[derive(Debug, Clone)]
pub struct Photos {
    /// Photos of the five classes with their class, sorted.
    pub good: Vec<(PathBuf, String)>,
    /// Files that can't be decoded.
    pub bad: Vec<PathBuf>,
    folder: PathBuf,
}

impl Photos {
    /// The shared ones: the test split, and small broken files.
    pub fn shared() -> Option<Self> {
        let folder = shared()?.join("data");
        let mut good = Vec::new();
        for class in entries(&folder.join("fashion/test")) {
            let label = class.file_name().unwrap().to_str().unwrap().replace('_', " ");
            good.extend(entries(&class).into_iter().map(|photo| (photo, label.clone())));
        }
        good.sort();
        let broken = [
            "zero_bytes.jpg",
            "truncated_20bytes.jpg",
            "html_404.jpg",
            "text.jpg",
            "truncated.png",
            "nul_50k.jpg",
        ];
        let bad = broken.map(|name| folder.join("hostile/bad").join(name)).to_vec();
        Some(Self { good, bad, folder })
    }

    /// The hostile files that the manifest gives this verdict (`decode`, `reject`, `either`).
    pub fn hostile(&self, verdict: &str) -> Vec<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        let manifest = fs::read_to_string(self.folder.join("hostile/manifest.jsonl")).unwrap();
        let entries = manifest.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of_verdict = entries.filter(|entry| entry["expect"] == verdict);
        let path = |entry: serde_json::Value| {
            let hex = entry["path_hex"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let name: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            self.folder.join("hostile").join(std::ffi::OsString::from_vec(name))
        };
        of_verdict.map(path).collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}
