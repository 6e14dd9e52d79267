use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use autorma_schemas::{
    DeadLetter, Event, ImageEvent, ModelVersion, Origin, Prediction, Shadow, file_url, readable,
    readable_url, topics,
};
use autorma_stream::{Log, NextOffset, TopicPartition, scan};
use serde::Serialize;

use crate::configuration::Configuration;
use crate::home::Home;
use crate::output::tell;
use crate::photo;
use crate::table::{Table, flattened};
use crate::when::with_offset;

/// What happened to one image event.
#[derive(Debug, Default, Serialize)]
struct Story {
    event_id: String,
    run_id: Option<String>,
    name: String,
    path: Option<String>,
    attributes: BTreeMap<String, String>,
    source: String,
    sha256: String,
    bytes: i64,
    seen_at: String,
    topic: String,
    partition: i32,
    offset: i64,
    state: &'static str,
    predicted_class: Option<String>,
    confidence: Option<f64>,
    probabilities: Option<BTreeMap<String, f64>>,
    unknown_probability: Option<f64>,
    decision: Option<String>,
    model: Option<ModelVersion>,
    arm: Option<String>,
    shadow: Option<Shadow>,
    reason: Option<String>,
    message: Option<String>,
    done_at: Option<String>,
    results: Option<String>,
}

/// `autorma show IMAGE_OR_EVENT_ID`.
pub(crate) fn show(configuration: &Configuration, image: &OsStr, json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::look(configuration)?;
    let asked = Asked::of(image);
    let mut stories = Vec::new();
    for record in scan(&*home.log, topics::IMAGES)? {
        let record = record?;
        if let Ok(event) = ImageEvent::decode(&record.value)
            && asked.is_it(&event)
        {
            stories.push(Story::begin(event, &record.at, record.offset.0));
        }
    }
    if stories.is_empty() {
        bail!(
            "the log knows no image {image:?}: is its name right, is it in the input folder, and was it seen less \
             than log.retention ago? Older ones are in the results files"
        );
    }
    let checkpoints = home.log.committed(autorma_classifier::GROUP)?;
    for story in &mut stories {
        let at = TopicPartition::new(story.topic.clone(), story.partition);
        let next = checkpoints.get(&at).copied().unwrap_or(NextOffset::START);
        if story.offset < next.0 {
            story.find_outcome(configuration, &home)?;
        }
    }
    let tables: Vec<_> = stories.iter().map(Story::table).collect::<Result<_, _>>()?;
    tell(json, &stories, |_| tables.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What was asked for, as events may have it.
struct Asked {
    /// As it was typed, and as events have a name that isn't UTF-8.
    names: [String; 2],
    url: String,
}

impl Asked {
    fn of(image: &OsStr) -> Self {
        let names = [image.to_string_lossy().into_owned(), readable(image)];
        Self { names, url: reference(Path::new(image)) }
    }

    fn is_it(&self, event: &ImageEvent) -> bool {
        let is_named = |name: &str| self.names.iter().any(|asked| asked == name);
        let is_at = |uri: &str| uri == self.url || is_named(uri) || is_named(&readable_url(uri));
        is_named(&event.event_id) || is_named(&event.name) || event.uri.as_deref().is_some_and(is_at)
    }
}

/// How events refer to this file. One that is a link is a photo of its own, whatever it leads to.
fn reference(file: &Path) -> String {
    file_url(&photo::place(file).or_else(|_| std::path::absolute(file)).unwrap_or_default())
}

impl Story {
    fn begin(event: ImageEvent, at: &TopicPartition, offset: i64) -> Self {
        Self {
            event_id: event.event_id,
            run_id: event.run_id,
            name: event.name,
            path: event.uri.as_deref().map(readable_url),
            attributes: event.attributes,
            source: event.source,
            sha256: event.sha256,
            bytes: event.length,
            seen_at: with_offset(event.seen_at),
            topic: at.topic.clone(),
            partition: at.partition,
            offset,
            state: "waiting",
            ..Self::default()
        }
    }

    /// The outcome of this very record: the same photo may have been classified in other runs too.
    fn find_outcome(&mut self, configuration: &Configuration, home: &Home) -> anyhow::Result<()> {
        let log = &*home.log;
        let is_its = |origin: &Origin| origin.partition == self.partition && origin.offset == self.offset;
        if let Some(it) = find(log, topics::PREDICTIONS, |it: &Prediction| is_its(&it.origin))? {
            self.state = "predicted";
            self.predicted_class = Some(it.predicted_class);
            self.confidence = Some(it.confidence);
            self.probabilities =
                Some(it.probabilities.into_iter().map(|it| (it.label, it.probability)).collect());
            self.unknown_probability = Some(it.unknown_probability);
            self.decision = Some(it.decision.to_string());
            self.model = Some(it.model);
            self.arm = it.arm;
            self.shadow = it.shadow;
            self.done_at = Some(with_offset(it.processed_at));
        } else if let Some(it) = find(log, topics::DEAD_LETTERS, |it: &DeadLetter| is_its(&it.origin))? {
            self.state = "dead letter";
            self.reason = Some(it.reason);
            self.message = Some(it.message);
            self.done_at = Some(with_offset(it.failed_at));
        } else {
            return Ok(());
        }
        if let Some(run) = &self.run_id {
            let results = std::path::absolute(autorma_sink::results_path(&configuration.sink.output, run))?;
            self.results = results.exists().then(|| readable(results.as_os_str()));
        }
        Ok(())
    }

    fn table(&self) -> anyhow::Result<String> {
        let mut table = Table::new(["photo", ""]);
        let serde_json::Value::Object(values) = serde_json::to_value(self)? else { return Ok(String::new()) };
        for (name, value) in values.into_iter().filter(|(_, value)| !value.is_null()) {
            for (inner, value) in flattened(&value) {
                table.row([format!("{name} {inner}").replace(['_', '.'], " ").trim_end().into(), value]);
            }
        }
        Ok(table.to_string())
    }
}

/// The first such event in a topic.
fn find<T: Event>(log: &dyn Log, topic: &str, is_it: impl Fn(&T) -> bool) -> anyhow::Result<Option<T>> {
    for record in scan(log, topic)? {
        let event = T::decode(&record?.value).ok().filter(&is_it);
        if event.is_some() {
            return Ok(event);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use autorma_schemas::{ClassProbability, Decision};
    use autorma_stream::{Append, Transaction};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_link_is_a_photo_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::write(folder.join("photo.jpg"), "photo").unwrap();
        std::os::unix::fs::symlink("photo.jpg", folder.join("link.jpg")).unwrap();
        std::os::unix::fs::symlink(".", folder.join("folder")).unwrap();
        for (asked, meant) in [
            ("photo.jpg", "photo.jpg"),
            ("link.jpg", "link.jpg"),
            ("folder/link.jpg", "link.jpg"),
            ("folder/gone.jpg", "gone.jpg"),
            ("none/gone.jpg", "none/gone.jpg"),
        ] {
            assert_eq!(reference(&folder.join(asked)), file_url(&folder.join(meant)), "{asked}");
        }
    }

    /// Of a file whose name isn't UTF-8.
    fn event() -> ImageEvent {
        ImageEvent {
            event_id: "id".into(),
            run_id: Some("r".into()),
            source: "test".into(),
            name: "a\\xFF.jpg".into(),
            uri: Some("file:///photos/a%FF.jpg".into()),
            attributes: BTreeMap::from([("order".into(), "4711".into())]),
            ..ImageEvent::default()
        }
    }

    #[test]
    fn a_name_that_isn_t_utf_8_is_found() {
        use std::os::unix::ffi::OsStrExt;
        let event = event();
        let asked = [b"a\xff.jpg".as_slice(), b"a\\xFF.jpg", b"/photos/a\xff.jpg", b"id"];
        for asked in asked {
            let asked = OsStr::from_bytes(asked);
            assert!(Asked::of(asked).is_it(&event), "{asked:?}");
        }
        assert!(!Asked::of(OsStr::from_bytes(b"a\xfe.jpg")).is_it(&event));
    }

    #[test]
    fn what_the_event_and_the_model_said_is_told_to_scripts() {
        let folder = tempfile::tempdir().unwrap();
        // From where the test runs.
        let root: PathBuf = std::env::current_dir().unwrap().ancestors().skip(1).map(|_| "..").collect();
        let output = root.join(folder.path().strip_prefix("/").unwrap());
        std::fs::write(autorma_sink::results_path(&output, "r"), "{}").unwrap();
        let data = folder.path().join("data");
        let [data, output] = [&data, &output].map(|path| path.to_str().unwrap());
        let configuration = Configuration::of(&["show", "id", "--data", data, "--output", output]);
        let home = Home::open(&configuration).unwrap();
        let ImageEvent { event_id, run_id, sequence, source, name, uri, sha256, seen_at, attributes, .. } =
            event();
        let prediction = Prediction {
            event_id,
            run_id,
            sequence,
            batch_number: 1,
            source,
            name,
            uri,
            sha256,
            attributes,
            predicted_class: "tops".into(),
            confidence: 0.75,
            probabilities: vec![ClassProbability { label: "tops".into(), probability: 0.75 }],
            unknown_probability: 0.125,
            decision: Decision::Review,
            model: ModelVersion { name: "m".into(), version: "1".into(), sha256: String::new() },
            origin: Origin { topic: topics::IMAGES.into(), partition: 0, offset: 0 },
            seen_at,
            processed_at: seen_at,
            arm: None,
            shadow: None,
        };
        let append =
            Append { topic: topics::PREDICTIONS.into(), value: prediction.encode(), ..Append::default() };
        let transaction = Transaction { appends: vec![append], advance: None };
        home.log.producer("test").unwrap().commit(&transaction).unwrap();
        let mut story = Story::begin(event(), &TopicPartition::new(topics::IMAGES, 0), 0);
        let waiting = serde_json::to_value(&story).unwrap();
        assert_eq!(waiting["attributes"], json!({ "order": "4711" }));
        assert_eq!((&waiting["source"], &waiting["probabilities"]), (&"test".into(), &Value::Null));
        story.find_outcome(&configuration, &home).unwrap();
        let predicted = serde_json::to_value(&story).unwrap();
        assert_eq!((&predicted["state"], &predicted["arm"]), (&"predicted".into(), &Value::Null));
        assert_eq!(predicted["probabilities"], json!({ "tops": 0.75 }));
        assert_eq!(predicted["unknown_probability"], 0.125);
        assert!(Path::new(predicted["results"].as_str().unwrap()).is_absolute(), "{predicted}");
    }
}
