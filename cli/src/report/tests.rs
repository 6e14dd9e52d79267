use super::*;

fn nothing_new() -> Report {
    Report {
        run_id: None,
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
        input: "photos".into(),
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
    assert_eq!(serde_json::to_value(&report).unwrap()["unreadable_folders"], 1);
}
