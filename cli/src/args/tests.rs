use std::os::unix::ffi::OsStringExt;

use autorma_service::settings::Settings;

use super::*;
use crate::configuration::Configuration;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// The help of a flag of `autorma run`.
fn help(flag: &str) -> String {
    let mut program = Cli::command();
    program.build();
    let run = program.find_subcommand("run").unwrap();
    let flag = run.get_arguments().find(|argument| argument.get_long() == Some(flag));
    flag.unwrap().get_help().unwrap().to_string()
}

#[test]
fn a_flag_that_is_a_setting_says_which_and_what_it_is_by_default() {
    let status = Cli::read(["autorma", "status"].map(OsString::from)).unwrap();
    let (_, settings) = Configuration::read(&status).unwrap();
    for (flag, key) in [
        ("input", "ingest.input"),
        ("output", "sink.output"),
        ("data", "data"),
        ("model", "classifier.model"),
        ("batch-size", "classifier.batch_size"),
        ("http", "http.address"),
        ("log", "log.kind"),
        ("log-level", "logging.level"),
        ("log-format", "logging.format"),
    ] {
        let help = help(flag);
        assert!(help.ends_with(&format!("Setting: {key}")), "{help}");
        let setting = settings.effective().iter().find(|it| it.key == key).unwrap();
        // The tester may have set it.
        if setting.origin == "default" {
            let (_, default) = help.split_once("by default").unwrap_or_else(|| panic!("{help}"));
            assert!(default.contains(&setting.value), "{}: {help}", setting.value);
        }
    }
}

/// Another model than the one that is configured here may serve.
#[test]
fn the_status_can_be_asked_for_with_the_model_that_serves() {
    let words = ["autorma", "status", "--model", "m@production"];
    let (_, settings) = Configuration::read(&Cli::read(words.map(OsString::from)).unwrap()).unwrap();
    let model = settings.effective().iter().find(|it| it.key == "classifier.model").unwrap();
    assert_eq!((model.value.as_str(), model.origin.as_str()), ("m@production", "--model"));
}

#[test]
fn what_no_embedded_log_takes_can_not_be_sent_inline() {
    let read = |limit: &str| {
        let words = ["autorma", "produce", "photo.jpg", "--inline", "--inline-limit", limit];
        Cli::read(words.map(OsString::from))
    };
    read("900").unwrap();
    assert!(read("1000").is_err(), "a record is more than its photo");
}

#[test]
fn only_reasons_and_decisions_that_there_are_can_be_chosen() {
    let read = |words: &str| Cli::read(words.split(' ').map(OsString::from));
    for (right, wrong, among) in [
        ("autorma dead-letters --reason missing", "autorma dead-letters --reason lost", "content-changed"),
        (
            "autorma dead-letters retry --reason missing",
            "autorma dead-letters retry --reason lost",
            "undecodable",
        ),
        ("autorma tail --decision review", "autorma tail --decision reject", "accept, review, unknown"),
    ] {
        read(right).unwrap();
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(among), "{wrong}: {error}");
    }
}

#[test]
fn the_largest_class_has_at_least_as_many_photos_as_the_smallest() {
    let check = |imbalance: &str| {
        let words = ["autorma", "dataset", "check", env!("CARGO_MANIFEST_DIR"), "--imbalance", imbalance];
        Cli::read(words.map(OsString::from))
    };
    for right in ["1", "2.5", "inf"] {
        check(right).unwrap();
    }
    for wrong in ["nan", "0", "0.9", "many", ""] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_gate_is_held_to_numbers_that_can_be() {
    let promote = |bound: &str| {
        let words = ["autorma", "models", "promote", "m/2", "--data", env!("CARGO_MANIFEST_DIR"), bound];
        Cli::read(words.map(OsString::from))
    };
    for (option, right, wrong) in [
        ("margin", "0 0.5 100", "-1 100.1 nan inf half"),
        ("quantized", "0 0.3 100", "-1 101 nan inf"),
        ("accuracy", "0 1 95.5 100", "-1 0.95 101 nan"),
        ("refused", "0 0.2 100", "-1 101 nan"),
        ("wrong", "0 0.1 100", "-1 101 nan"),
        ("calibration-error", "0 0.05 1", "-1 1.1 nan"),
        ("speed", "0 0.8 1000", "-1 inf nan"),
    ] {
        for bound in right.split(' ') {
            promote(&format!("--{option}={bound}")).unwrap();
        }
        for bound in wrong.split(' ') {
            assert!(promote(&format!("--{option}={bound}")).is_err(), "--{option}={bound}");
        }
    }
    let share = promote("--accuracy=0.95").unwrap_err().to_string();
    assert!(share.contains("95, not 0.95"), "{share}");
}

#[test]
fn a_model_without_a_name_isn_t_the_current_folder() {
    for words in [
        "run --model MODEL",
        "classify --model MODEL",
        "status --model MODEL",
        "replay --run a --model MODEL",
        "evaluate --data . --model MODEL",
        "evaluate --data . --against MODEL",
        "models ensemble m/2 MODEL --data . --output o",
    ] {
        let read = |model: &str| {
            let words = words.split(' ').map(|word| if word == "MODEL" { model } else { word });
            Cli::read(std::iter::once("autorma").chain(words).map(OsString::from))
        };
        read("m/1").unwrap();
        assert!(read("").is_err(), "{words}");
    }
}

#[test]
fn a_photo_is_shown_whatever_it_is_called() {
    let words = ["autorma", "show"].map(OsString::from).into_iter();
    let strange = OsString::from_vec(b"photo\xff.jpg".to_vec());
    let Command::Show(args) = Cli::read(words.chain([strange.clone()])).unwrap().command else {
        panic!("another command")
    };
    assert_eq!(args.image, strange);
}

#[test]
fn what_stands_before_a_subcommand_is_meant_for_it() {
    let command = |words: &[&str]| Cli::read(words.iter().map(Into::into)).unwrap().command;
    let Command::DeadLetters(args) =
        command(&["autorma", "dead-letters", "--run", "a", "--reason", "missing", "--json", "retry"])
    else {
        panic!("another command")
    };
    let Some(DeadLettersCommand::Retry(retry)) = args.command else { panic!("no retry") };
    assert_eq!((retry.run.as_deref(), retry.json.json), (Some("a"), true));
    assert_eq!(retry.reasons, ["missing"]);
    let Command::Runs(args) = command(&["autorma", "runs", "--json", "--output", "o", "show", "b"]) else {
        panic!("another command")
    };
    let Some(RunsCommand::Show { output, json, .. }) = args.command else { panic!("no show") };
    assert_eq!((output.output, json.json), (Some("o".into()), true));
}

#[test]
fn what_a_subcommand_can_do_nothing_with_is_refused_before_it() {
    let read = |words: &str| Cli::read(words.split(' ').map(OsString::from));
    let error = read("autorma runs --last 3 show b").unwrap_err().to_string();
    assert!(error.contains("--last"), "{error}");
    read("autorma runs --last 3").unwrap();
    read("autorma runs show b").unwrap();
}

#[test]
fn a_data_folder_that_photos_would_replace_is_refused() {
    let photos = ["--data", env!("CARGO_MANIFEST_DIR")];
    let read = |words: &[&[&str]]| {
        let words = std::iter::once("autorma").chain(words.concat());
        Cli::read(words.map(OsString::from))
    };
    let commands: [&[&str]; 4] = [
        &["evaluate"],
        &["train", "--output", "o"],
        &["models", "promote", "m/2"],
        &["models", "ensemble", "m/1", "m/2", "--output", "o"],
    ];
    for command in commands {
        read(&[command, &photos, &photos]).unwrap();
        for data in [&["--data", "state"][..], &["--data=state"]] {
            let error = read(&[data, command, &photos]).unwrap_err().to_string();
            assert!(error.contains("--set data=DIR"), "{command:?}: {error}");
        }
    }
    let between: [&[&str]; 4] = [&["models"], &["--data", "state"], &["promote", "m/2"], &photos];
    assert!(read(&between).is_err());
    assert_eq!(read(&[&["--data", "state"], &["models", "list"]]).unwrap().common.data.len(), 1);
}

#[test]
fn settings_on_both_sides_of_a_subcommand_are_refused() {
    let read = |words: &str| Cli::read(words.split(' ').map(OsString::from));
    for together in
        ["autorma --set drain=3s --set=data=a classify", "autorma models list --set drain=3s --set=data=a"]
    {
        assert_eq!(read(together).unwrap().common.set.len(), 2, "{together}");
    }
    for split in [
        "autorma --set classifier.roots=/safe classify --set drain=3s",
        "autorma --set=classifier.roots=/safe classify --set=drain=3s",
        "autorma models --set drain=3s list --set data=a",
    ] {
        let error = read(split).unwrap_err().to_string();
        assert!(error.contains("put all of them behind it"), "{split}: {error}");
    }
}

#[test]
fn a_path_that_is_not_utf_8_is_refused_and_not_taken_for_another() {
    let strange = OsString::from_vec(b"photos\xff".to_vec());
    for (flag, key) in [("--input", "ingest.input"), ("--output", "sink.output"), ("--data", "data")] {
        let words = ["autorma", "run", flag].map(OsString::from).into_iter().chain([strange.clone()]);
        let settings = Settings::new(vec![Cli::read(words).unwrap().layer()]);
        let told = settings.finish().unwrap_err().to_string();
        assert!(told.contains(&format!("{key} (from {flag}): a path that is UTF-8")), "{told}");
    }
}

/// What `autorma train` is told, behind and before its name.
fn train(before: &[&str], behind: &[&str]) -> Result<TrainArgs, Error> {
    let photos = ["train", "--data", env!("CARGO_MANIFEST_DIR"), "--output", "o"];
    let words = [&["autorma"][..], before, &photos, behind].concat();
    match Cli::read(words.into_iter().map(OsString::from))?.command {
        Command::Train(args) => Ok(args),
        other => panic!("another command: {other:?}"),
    }
}

#[test]
fn settings_that_a_recipe_would_replace_are_refused() {
    for before in [&["--config", "settings.toml"][..], &["--config=settings.toml"]] {
        let error = train(before, &["--config", "recipe.toml"]).unwrap_err().to_string();
        assert!(error.contains("AUTORMA_CONFIG"), "{error}");
    }
    let recipe = train(&[], &["--config", "recipe.toml"]).unwrap().config;
    assert_eq!(recipe, Some("recipe.toml".into()));
}

#[test]
fn a_seed_is_whatever_a_recipe_takes() {
    let seed = |seed: &str| train(&[], &["--seed", seed]).map(|args| args.seed);
    assert_eq!(seed("9223372036854775807").unwrap(), Some(i64::MAX as u64));
    for wrong in ["9223372036854775808", "-1", "many"] {
        assert!(seed(wrong).is_err(), "{wrong}");
    }
}
