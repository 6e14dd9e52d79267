//! Runs and files that are named like others.

use std::fs;

use autorma_schemas::{Event, Micros, RunRecord, RunState, sha256};
use autorma_stream::Append;

use crate::telling::said;
use crate::workplace::{OPENED, Workplace, entries, outcome, run};

const RUN: &str = "20261123_153147";
const NEXT: &str = "20261123_160000";

/// The id of a run, and another that the first one's files are named after.
fn alike() -> [String; 2] {
    ["a/b".into(), format!("a_b-{}", &sha256(b"a/b")[..12])]
}

/// Two outcomes of each, as parts.
fn two_of_each(workplace: &Workplace, runs: &[String]) {
    workplace.append(runs.iter().flat_map(|run_id| [outcome(run_id, 1), outcome(run_id, 2)]));
    let sink = workplace.sink();
    sink.wait_for_outcomes(2 * runs.len() as u64);
    sink.stop();
}

/// Each by itself.
fn finishes(workplace: &Workplace, runs: &[String]) {
    let sink = workplace.sink();
    workplace.append(runs.iter().map(|run_id| run(run_id, RunState::Closed, 2)));
    runs.iter().for_each(|run_id| sink.wait_for_run(run_id));
    sink.stop();
    for run_id in runs {
        assert_eq!(entries(&workplace.results(run_id), "predictions").len(), 2);
        let summary = workplace.summary(run_id);
        assert_eq!((&summary.run_id, summary.discovered), (run_id, 2));
    }
}

#[test]
fn runs_whose_names_are_alike_have_files_of_their_own() {
    let (workplace, runs) = (Workplace::new(), alike());
    two_of_each(&workplace, &runs);
    finishes(&workplace, &runs);
}

/// As an earlier autorma had those of such runs.
#[test]
fn parts_that_lie_in_the_folder_of_another_run_are_of_their_own() {
    let (workplace, runs) = (Workplace::new(), alike());
    two_of_each(&workplace, &runs);
    let [shared, own] = [&runs[1], &format!("{}-{}", runs[1], &sha256(runs[1].as_bytes())[..12])]
        .map(|name| workplace.hidden().join(name));
    for part in fs::read_dir(own).unwrap() {
        let part = part.unwrap();
        fs::rename(part.path(), shared.join(part.file_name())).unwrap();
    }
    finishes(&workplace, &runs);
    assert_eq!(workplace.left_over(&runs[1]), Vec::<String>::new());
}

/// As where the file system doesn't tell cases apart, and the runs' names differ in nothing else.
#[test]
fn parts_of_another_run_in_the_same_folder_are_left_to_it() {
    let workplace = Workplace::new();
    let sink = workplace.sink();
    workplace.append([outcome(RUN, 1), outcome(NEXT, 2)]);
    sink.wait_for_outcomes(2);
    for name in workplace.left_over(NEXT) {
        let [from, to] = [NEXT, RUN].map(|run_id| workplace.hidden().join(run_id).join(&name));
        fs::rename(from, to).unwrap();
    }
    workplace.append([run(RUN, RunState::Closed, 1)]);
    sink.wait_for_run(RUN);
    sink.stop();
    let sink = workplace.sink();
    workplace.append([run(NEXT, RunState::Closed, 1)]);
    sink.wait_for_run(NEXT);
    sink.stop();
    for (run_id, name) in [(RUN, "img_01.jpg"), (NEXT, "img_02.jpg")] {
        let predictions = entries(&workplace.results(run_id), "predictions");
        assert_eq!((predictions.len(), &predictions[0]["image_name"]), (1, &name.into()));
    }
}

#[test]
fn results_of_a_run_of_the_same_name_on_another_log_are_kept() {
    for is_killed in [false, true] {
        let former = Workplace::new();
        former.append([outcome("monday", 1), run("monday", RunState::Closed, 1)]);
        let sink = former.sink();
        sink.wait_for_run("monday");
        sink.stop();
        // The data folder is lost, and the same command called again.
        let workplace = Workplace { log: Workplace::new().log, output: former.output };
        let output = workplace.output.path();
        let results = autorma_sink::results_path(output, "monday");
        let files = [results, autorma_sink::summary_path(output, "monday")];
        let contents = files.each_ref().map(|file| fs::read(file).unwrap());
        let kept = files.each_ref().map(|file| file.with_extension("old-1"));
        if is_killed {
            // Between the two.
            fs::rename(&files[0], &kept[0]).unwrap();
        }
        let closed = run("monday", RunState::Closed, 2);
        let record = RunRecord::decode(&closed.value).unwrap();
        let later = RunRecord { opened_at: Micros(OPENED + 60_000_000), ..record };
        let closed = Append { value: later.encode(), ..closed };
        workplace.append([outcome("monday", 2), outcome("monday", 3), closed]);
        let told = said(&workplace, |snapshot| !snapshot.finished.is_empty());
        assert!(told.len() == 1 && told[0].contains("old-1") && told[0].contains("monday"), "{told:?}");
        assert_eq!(kept.map(|file| fs::read(file).unwrap()), contents);
        assert_eq!(entries(&workplace.results("monday"), "predictions").len(), 2);
        assert_eq!(workplace.summary("monday").discovered, 2);
    }
}

/// The earlier system named its files like ours, and wrote no summaries.
#[test]
fn results_of_the_earlier_system_are_kept() {
    let workplace = Workplace::new();
    let results = autorma_sink::results_path(workplace.output.path(), RUN);
    // Facts of a photo may be called anything.
    let image =
        format!("{{\"image_name\": \"a.jpg\", \"attributes\": {{\n        \"run_id\": \"{RUN}\",\n}}}}");
    let former = format!("{{\n  \"run_timestamp\": \"{RUN}\",\n  \"predictions\": [{image}]\n}}");
    fs::write(&results, &former).unwrap();
    workplace.append([outcome(RUN, 1), run(RUN, RunState::Closed, 1)]);
    let told = said(&workplace, |snapshot| !snapshot.finished.is_empty());
    assert!(told.len() == 1 && told[0].contains("old-1") && told[0].contains(RUN), "{told:?}");
    assert_eq!(fs::read_to_string(results.with_extension("old-1")).unwrap(), former);
    assert_eq!(entries(&workplace.results(RUN), "predictions").len(), 1);
}
