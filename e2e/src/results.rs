use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What the output folder holds.
#[derive(Debug, Default)]
pub struct Results {
    /// Every prediction of every results file, by photo; a photo may be in several runs.
    pub predictions: BTreeMap<String, Vec<Value>>,
    /// Every failed image likewise.
    pub failed: BTreeMap<String, Vec<Value>>,
    /// The summaries, by run.
    pub summaries: BTreeMap<String, Value>,
}

/// Every `*.json` below a folder, hidden folders too.
pub fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found
}

/// The JSON in a file, which must be whole and valid. None when the file has gone by now.
pub fn read_json(path: &Path) -> Option<Value> {
    let text = fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

impl Results {
    /// Reads a folder, checking that each results file fits its summary.
    pub fn read(output: &Path) -> Self {
        let mut results = Self::default();
        for path in json_files(output) {
            let Some(json) = read_json(&path) else { continue };
            if path.file_name().unwrap() == "summary.json" {
                results.summaries.insert(json["run_id"].as_str().unwrap().to_owned(), json);
            } else if json.get("predictions").is_some_and(Value::is_array) {
                check_counts(&path, &json);
                let by_photo = |list: &Value, into: &mut BTreeMap<String, Vec<Value>>| {
                    for it in list.as_array().unwrap() {
                        into.entry(it["image_name"].as_str().unwrap().to_owned())
                            .or_default()
                            .push(it.clone());
                    }
                };
                by_photo(&json["predictions"], &mut results.predictions);
                by_photo(&json["failed_images"], &mut results.failed);
            }
        }
        results
    }

    /// How many predictions and failed images there are.
    pub fn counts(&self) -> (usize, usize) {
        let count = |all: &BTreeMap<String, Vec<Value>>| all.values().map(Vec::len).sum();
        (count(&self.predictions), count(&self.failed))
    }

    /// The one prediction of a photo.
    #[track_caller]
    pub fn prediction(&self, name: &str) -> &Value {
        match self.predictions.get(name).map(Vec::as_slice) {
            Some([one]) => one,
            other => panic!("{name} has the predictions {other:?}"),
        }
    }

    /// Each of these photos has one outcome of the right kind, and there are no others: conservation, as seen from
    /// outside.
    pub fn expect(&self, good: &BTreeSet<String>, bad: &BTreeSet<String>) -> Result<(), String> {
        let once = |all: &BTreeMap<String, Vec<Value>>, expected: &BTreeSet<String>, what: &str| {
            let found: BTreeSet<String> = all.keys().cloned().collect();
            let missing: Vec<_> = expected.difference(&found).collect();
            let surplus: Vec<_> = found.difference(expected).collect();
            let twice: Vec<_> = all.iter().filter(|(_, list)| list.len() > 1).map(|(name, _)| name).collect();
            match missing.is_empty() && surplus.is_empty() && twice.is_empty() {
                true => Ok(()),
                false => Err(format!("{what}: missing {missing:?}, surplus {surplus:?}, doubled {twice:?}")),
            }
        };
        once(&self.predictions, good, "predictions")?;
        once(&self.failed, bad, "failed images")?;
        let total =
            |key: &str| self.summaries.values().map(|it| it[key].as_u64().unwrap()).sum::<u64>() as usize;
        let summed = (total("predictions"), total("dead_letters"), total("discovered"));
        let right = (good.len(), bad.len(), good.len() + bad.len());
        if summed == right { Ok(()) } else { Err(format!("the summaries count {summed:?}, not {right:?}")) }
    }
}

/// The numbers of a results file are those of its lists, and no event is in it twice.
fn check_counts(path: &Path, json: &Value) {
    let length = |key: &str| json[key].as_array().unwrap().len() as u64;
    let number = |key: &str| json[key].as_u64().unwrap();
    let counts = [length("predictions"), length("failed_images")];
    assert_eq!([number("successful"), number("failed")], counts, "{}", path.display());
    assert_eq!(number("total_images"), counts[0] + counts[1], "{}", path.display());
    let mut seen = BTreeSet::new();
    for it in json["predictions"].as_array().unwrap() {
        assert!(seen.insert(it["event_id"].to_string()), "{}: {it} is there twice", path.display());
    }
}
