use autorma_ingest::Found;
use autorma_schemas::{Micros, RunKind};

use super::*;

fn nothing_new() -> Report {
    Report {
        run_id: None,
        images: 0,
        discovered: 0,
        predictions: 0,
        dead_letters: 0,
        duplicates: 0,
        already_done: 3,
        still_being_written: 0,
        unreadable: 0,
        unreadable_folders: 0,
        duration_seconds: 1.0,
        images_per_second: 0.0,
        results_path: None,
        summary_path: None,
        summary: None,
        finished_too: Vec::new(),
        unfinished: Vec::new(),
        has_dead_letters: false,
        input: "photos".into(),
        of_before: "--reprocess classifies them again",
        program: "autorma".into(),
    }
}

#[test]
fn a_folder_that_can_not_be_read_is_told_and_is_a_failure() {
    assert!(!nothing_new().has_failures());
    let report = Report { already_done: 0, unreadable_folders: 1, ..nothing_new() };
    assert!(report.has_failures());
    let text = report.to_string();
    assert!(text.contains("1 folder left out, unreadable"), "{text}");
    assert!(!text.contains("No photos"), "nobody knows: {text}");
    assert!(text.starts_with("Nothing new in photos.\n"), "nothing was published before: {text}");
    assert_eq!(serde_json::to_value(&report).unwrap()["unreadable_folders"], 1);
}

#[test]
fn what_was_published_before_may_be_dead_letters() {
    let text = |has_dead_letters| Report { has_dead_letters, ..nothing_new() }.to_string();
    let told = text(true);
    assert!(told.starts_with("Nothing new in photos: 3 photos published before (--reprocess"), "{told}");
    assert!(told.contains("3 photos published before"), "{told}");
    assert!(told.contains("are tried again by: autorma dead-letters retry\n"), "{told}");
    assert!(!text(false).contains("dead-letters"), "there are none");
}

#[test]
fn others_runs_are_told_by_the_way_with_the_place_of_their_results() {
    let other = Other {
        run_id: "monday\u{1b}".into(),
        predictions: 1,
        dead_letters: 0,
        results_path: "/results/predictions_monday.json".into(),
        summary_path: "/results/runs/monday/summary.json".into(),
    };
    let text = Report { finished_too: vec![other], ..nothing_new() }.to_string();
    assert!(text.starts_with("Nothing new in photos: "), "{text}");
    let told = "finished too: 1 prediction, 0 dead letters, in /results/predictions_monday.json\n";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("Run monday\\u{1b}, which"), "their names don't move the cursor: {text:?}");
}

#[test]
fn a_run_that_can_t_be_finished_is_named() {
    let run = RunRecord::open("20261124_220330", RunKind::Batch, "photos", Micros(0));
    let run = RunRecord { images: 3, ..run.closed(Micros(1)) };
    let configuration = Configuration::of(&["run"]);
    let batch = Batch { found: Found::default(), run: Some(run.clone()) };
    let report = Report::new(&configuration, &batch, &Snapshot::default(), &[run], false, 1.0).unwrap();
    assert!(report.is_cut_short());
    let text = report.to_string();
    let told = "Run 20261124_220330 can't be finished: outcomes are missing of its 3 photos.";
    assert!(text.starts_with(told) && text.ends_with(" replay --run 20261124_220330\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["run_id"], &json["images"]), (&"20261124_220330".into(), &3.into()));
    assert_eq!(json["results_path"], serde_json::Value::Null);
}

#[test]
fn an_earlier_run_of_the_folder_that_can_t_be_finished_is_told_and_is_no_failure_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = Configuration::of(&["run", "--input", folder.path().to_str().unwrap()]);
    let input = folder.path().canonicalize().unwrap();
    let closed = |run_id: &str, input: &Path| {
        let run = RunRecord::open(run_id, RunKind::Stream, input.to_str().unwrap(), Micros(0));
        RunRecord { images: 50, ..run.closed(Micros(1)) }
    };
    let others = [closed("monday", &input), closed("20261124_220000", Path::new("another"))];
    let batch = Batch { found: Found { already_done: 59, ..Found::default() }, run: None };
    let report = |incomplete: &[RunRecord]| {
        Report::new(&configuration, &batch, &Snapshot::default(), incomplete, false, 1.0).unwrap()
    };
    assert!(report(&others).unfinished.is_empty(), "they are others'");
    let report = report(&[&others[..], &[closed("20261124_220330", &input)]].concat());
    assert!(!report.has_failures() && !report.is_cut_short());
    let text = report.to_string();
    assert!(text.starts_with("Nothing new in ") && text.contains(": 59 photos published before"), "{text}");
    let told = "\nRun 20261124_220330 can't be finished: outcomes are missing of its 50 photos.";
    assert!(text.contains(told) && text.matches("can't be finished").count() == 1, "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["unfinished"], serde_json::json!([{ "run_id": "20261124_220330", "images": 50 }]));
}

/// It may be finished, with dead letters.
#[test]
fn nobody_is_told_of_a_run_that_is_not_known_to_lack_anything_that_it_can_t_be_finished() {
    let run = RunRecord::open("20261124_220330", RunKind::Batch, "photos", Micros(0)).closed(Micros(1));
    let batch = Batch { found: Found::default(), run: Some(run) };
    let configuration = Configuration::of(&["run"]);
    let told = Report::new(&configuration, &batch, &Snapshot::default(), &[], false, 1.0).unwrap_err();
    assert!(told.to_string().contains("`autorma runs show 20261124_220330`"), "{told}");
}

#[test]
fn a_folder_without_photos_may_have_links() {
    let text = Report { already_done: 0, ..nothing_new() }.to_string();
    assert!(text.starts_with("No photos in photos: "), "{text}");
    assert!(text.contains("links out of it don't count"), "{text}");
}

#[test]
fn a_command_that_is_named_can_be_given_to_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my settings.toml");
    std::fs::write(&file, "").unwrap();
    let words = ["run", "--config", file.to_str().unwrap(), "--data", "it's here"];
    let named = program(&Configuration::of(&words));
    let told = format!(" --config '{}' --data 'it'\\''s here'", file.display());
    assert!(named.ends_with(&told), "{named}");
}
