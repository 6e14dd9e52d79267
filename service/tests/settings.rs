//! The layers of settings, from texts and from files.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use autorma_service::settings::{self, Effective, Invalid, Key, Layer, LoadError, Settings, Table, Verbatim};

const DATA: Key = Key::new("data", "data/autorma", "the state");
const SIZE: Key = Key::new("classifier.batch_size", "10", "images a micro-batch").alias("BATCH_SIZE");
const WAIT: Key = Key::new("classifier.max_wait", "5ms", "how long the first waits");
const ROOTS: Key = Key::new("classifier.roots", "", "folders");
const SECRET: Key = Key::new("sink.password", "", "of the push gateway").secret();

struct Read {
    data: String,
    size: u32,
    wait: Duration,
    roots: String,
    effective: Vec<Effective>,
    result: Result<(), Invalid>,
}

fn read_all(mut settings: Settings) -> Read {
    Read {
        data: settings.get(&DATA, ..),
        size: settings.get(&SIZE, 1..=256),
        wait: settings.get(&WAIT, Duration::ZERO..),
        roots: settings.get(&ROOTS, ..),
        effective: {
            let _: String = settings.get(&SECRET, ..);
            settings.effective().to_vec()
        },
        result: settings.finish(),
    }
}

fn read(layers: Vec<Layer>) -> Read {
    read_all(Settings::new(layers))
}

fn problems(layers: Vec<Layer>) -> Vec<String> {
    match read(layers).result {
        Ok(()) => Vec::new(),
        Err(Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn toml(text: &str) -> Layer {
    Layer::from_toml(text, "autorma.toml").unwrap()
}

fn environment(variables: &[(&str, &str)]) -> Layer {
    Layer::from_environment(
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))),
    )
}

fn dotenv(text: &str) -> Layer {
    Layer::from_dotenv(text, ".env")
}

#[test]
fn the_stronger_layer_wins_and_each_value_knows_its_origin() {
    let layers = vec![
        toml("data = 'file'\n[classifier]\nbatch_size = 0x10\nmax_wait = \"1s\"\nroots = ['/a', '/b']\n"),
        dotenv("# shared\nexport BATCH_SIZE=20 # more\nMLFLOW_TRACKING_URI=http://localhost:5000\n"),
        environment(&[("AUTORMA_CLASSIFIER_MAX_WAIT", "2s"), ("HOME", "/root"), ("AUTORMA_CONFIG", "x")]),
        Layer::new("flags").with("data", "flag", "--data"),
    ];
    let read = read(layers);
    read.result.unwrap();
    assert_eq!((read.data.as_str(), read.size, read.wait), ("flag", 20, Duration::from_secs(2)));
    assert_eq!(read.roots, "/a:/b");
    let origins: Vec<_> = read.effective.iter().map(|setting| setting.origin.as_str()).collect();
    let variable = "AUTORMA_CLASSIFIER_MAX_WAIT in the environment";
    assert_eq!(origins, ["--data", ".env:2", variable, "autorma.toml:5", "default"]);
}

#[test]
fn our_own_name_beats_the_alias() {
    let both = [("BATCH_SIZE", "11"), ("AUTORMA_CLASSIFIER_BATCH_SIZE", "12")];
    assert_eq!(read(vec![environment(&both)]).size, 12);
    assert_eq!(read(vec![environment(&both[..1])]).size, 11);
}

#[test]
fn an_alias_that_counts_is_known_as_one() {
    let is_by_alias = |layers: Vec<Layer>| Settings::new(layers).is_by_alias(&SIZE);
    let both = [("BATCH_SIZE", "11"), ("AUTORMA_CLASSIFIER_BATCH_SIZE", "12")];
    assert!(is_by_alias(vec![toml("[classifier]\nbatch_size = 3"), environment(&both[..1])]));
    assert!(!is_by_alias(vec![environment(&both)]));
    assert!(!is_by_alias(vec![environment(&both[..1]), Layer::new("flags").with(SIZE.name, "13", "--set")]));
    assert!(!is_by_alias(Vec::new()));
}

#[test]
fn a_password_keeps_its_spaces_and_a_name_does_not() {
    let variables = [("AUTORMA_SINK_PASSWORD", " hunter2 "), ("AUTORMA_DATA", " here ")];
    let mut settings = Settings::new(vec![environment(&variables)]);
    let Verbatim(password) = settings.get(&SECRET, ..);
    assert_eq!((password, settings.get::<String>(&DATA, ..)), (" hunter2 ".to_owned(), "here".to_owned()));
}

#[test]
fn the_file_of_the_settings_is_not_named_in_dotenv() {
    let told =
        "AUTORMA_CONFIG (from .env:2): it comes too late here: set it in the environment, or use --config";
    assert_eq!(problems(vec![dotenv("# which\nexport AUTORMA_CONFIG=other.toml")]), [told]);
}

#[test]
fn all_problems_are_told_at_once_with_hints() {
    let layers = vec![
        toml(
            "[classifier]\nbatch_sise = 3\nmax_wait = 5\nroots = [1]\n[classifier.deep]\nwhen = 2026-01-01\n",
        ),
        dotenv("AUTORMA_DATAA=x\nAUTORMA_SINK_PASSWORD=\"open\nnonsense\nOTHER='open\n"),
        environment(&[
            ("BATCH_SIZE", "1000"),
            ("AUTORMA_CLASSIFIER_MAXWAIT", "1s"),
            ("AUTORMA_FAILPOINT", "x"),
        ]),
        Layer::new("flags").with("zebra", "secret", "--set"),
    ];
    let duration = "a duration, at least 0s (written like 5ms, 2s, 10m, 1h or 7d)";
    assert_eq!(
        problems(layers),
        [
            "classifier.batch_size = \"1000\" (from BATCH_SIZE in the environment): \
             a whole number from 1 to 256"
                .into(),
            format!("classifier.max_wait = \"5\" (from autorma.toml:3): {duration}"),
            "classifier.deep.when (from autorma.toml:6): a text, a number, true or false".into(),
            "classifier.roots (from autorma.toml:4): the items of a list are texts without ':'".into(),
            "classifier.batch_sise (from autorma.toml:2): there is no such setting; \
             did you mean classifier.batch_size?"
                .into(),
            "AUTORMA_SINK_PASSWORD (from .env:2): the closing quote is missing".into(),
            "AUTORMA_DATAA (from .env:1): there is no such setting; did you mean AUTORMA_DATA?".into(),
            "AUTORMA_CLASSIFIER_MAXWAIT (from AUTORMA_CLASSIFIER_MAXWAIT in the environment): \
             there is no such setting; did you mean AUTORMA_CLASSIFIER_MAX_WAIT?"
                .into(),
            "zebra (from --set): there is no such setting; `autorma config` lists them".into(),
        ]
    );
}

#[test]
fn only_a_list_of_folders_is_an_array() {
    let told = "log.kafka.brokers (from autorma.toml:2): \
                one value, not a list; several are one text, separated by ','";
    assert_eq!(problems(vec![toml("[log.kafka]\nbrokers = ['a', 'b']\n")]), [told]);
}

#[test]
fn a_syntax_error_names_the_line() {
    let error = Layer::from_toml("a = 1\n\nb 2\n", "autorma.toml").unwrap_err();
    assert_eq!(error.line, 3);
    assert!(error.to_string().starts_with("autorma.toml:3: "), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let layers =
        vec![environment(&[("AUTORMA_SINK_PASSWORD", "hunter2"), ("AWS_SECRET_ACCESS_KEY", "hunter2")])];
    let debug = format!("{:?}", Settings::new(layers.clone()));
    let read = read(layers);
    assert_eq!(read.effective.last().unwrap().value, "(hidden)");
    assert!(!format!("{debug} {:?}", read.effective).contains("hunter2"), "{debug}");
    let misspelt = vec![environment(&[("AUTORMA_SINK_PASSWROD", "hunter2")])];
    assert!(problems(misspelt)[0].contains("did you mean AUTORMA_SINK_PASSWORD?"));
}

#[test]
fn a_line_that_is_no_setting_is_not_shown() {
    for wrong in [": hunter2", " hunter2", ": hunter2 = x", "@hunter2=x", "-hunter2", ".hunter2"] {
        let told = problems(vec![dotenv(&format!("export AUTORMA_SINK_PASSWORD{wrong}\nOTHER{wrong}"))]);
        assert_eq!(told, ["AUTORMA_SINK_PASSWORD (from .env:1): NAME=VALUE"], "{wrong}");
    }
    assert_eq!(read(vec![dotenv("AUTORMA_DATA = here")]).data, "here");
    // An alias may have a sign in its name that no shell takes there; behind it may be a password as well.
    let told = problems(vec![dotenv("AUTORMA_MODEL_BLUE-GREEN=90")]);
    assert!(matches!(&told[..], [told] if told.starts_with("AUTORMA_MODEL_BLUE-… ")), "{told:?}");
    for wrong in ["-aHVudGVyMg==", ".aHVudGVyMg=x", "-aHVudGVyMg=\"", "-aHVudGVyMg=\u{fffd}"] {
        let told = problems(vec![dotenv(&format!("AUTORMA_SINK_PASSWORD{wrong}"))]);
        let is_told = |told: &str| told.contains(" (from .env:1): ") && !told.contains("aHVudGVyMg");
        assert!(matches!(&told[..], [told] if is_told(told)), "{told:?}");
    }
}

#[test]
fn a_setting_has_one_value_however_its_name_is_written() {
    let twice = "'classifier.batch_size' = 3\n[classifier]\nbatch_size = 5\nmax_wait = '1s'";
    let told = problems(vec![toml(twice)]);
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.starts_with("classifier.batch_size (from autorma.toml:"), "{told}");
    assert!(["toml:1", "one value", "toml:3"].iter().all(|part| told.contains(part)), "{told}");
}

#[test]
fn a_table_shows_what_can_be_in_it() {
    let listed = |layers: Vec<Layer>| {
        let mut settings = Settings::new(layers);
        let split = Table { prefix: "model.split.", rest: "ALIAS", about: "its share", dotted: false };
        let table = settings.table(&split, |_| false, |_, _| Ok(()));
        let listed: Vec<_> =
            settings.effective().iter().map(|it| (it.key.clone(), it.value.clone())).collect();
        (table.len(), listed)
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(listed(Vec::new()), (0, vec![pair("model.split.ALIAS", "")]));
    let flags = Layer::new("flags").with("model.split.staging", "10", "--set");
    assert_eq!(listed(vec![flags]), (1, vec![pair("model.split.staging", "10")]));
}

#[test]
fn an_underscore_in_the_environment_is_a_dot_but_where_no_name_has_dots() {
    let layers = vec![
        toml("[model.split]\nblue_green = 1\n"),
        environment(&[
            ("AUTORMA_MODEL_SPLIT_BLUE_GREEN", "90"),
            ("AUTORMA_LOG_KAFKA_PROPERTIES_LINGER_MS", "5"),
        ]),
    ];
    let mut settings = Settings::new(layers);
    let mut pairs = |prefix, dotted| {
        let table = Table { prefix, rest: "NAME", about: "a value", dotted };
        Vec::from_iter(settings.table(&table, |_| false, |_, _| Ok(())))
    };
    let pairs = [pairs("model.split.", false), pairs("log.kafka.properties.", true)];
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(pairs, [pair("blue_green", "90"), pair("linger.ms", "5")]);
    settings.finish().unwrap();
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let variable = |name: &str| (OsString::from(name), OsString::from_vec(vec![0xff]));
    let layer = Layer::from_environment([variable("AUTORMA_DATA"), variable("PATH")].into_iter());
    assert_eq!(
        problems(vec![layer]),
        ["AUTORMA_DATA (from AUTORMA_DATA in the environment): a text in UTF-8"]
    );
}

#[test]
fn files_are_found_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let load = |file: Option<&Path>| settings::load(file, folder.path(), Layer::new("flags"));
    read_all(load(None).unwrap()).result.unwrap();
    std::fs::write(folder.path().join("autorma.toml"), "data = 'here'").unwrap();
    std::fs::write(folder.path().join(".env"), "AUTORMA_CLASSIFIER_ROOTS='/x y'").unwrap();
    let read = read_all(load(None).unwrap());
    assert_eq!((read.data.as_str(), read.roots.as_str()), ("here", "/x y"));
    // Something is there, and can't be read: a folder, as of a container's mount, or a link to nowhere.
    let toml = folder.path().join("autorma.toml");
    std::fs::remove_file(&toml).unwrap();
    std::fs::create_dir(&toml).unwrap();
    assert!(matches!(load(None).unwrap_err(), LoadError::Unreadable { .. }));
    std::fs::remove_dir(&toml).unwrap();
    std::os::unix::fs::symlink("nowhere", &toml).unwrap();
    assert!(matches!(load(None).unwrap_err(), LoadError::Unreadable { .. }));
    std::fs::remove_file(&toml).unwrap();
    // A virtual environment of Python.
    std::fs::remove_file(folder.path().join(".env")).unwrap();
    std::fs::create_dir(folder.path().join(".env")).unwrap();
    load(None).unwrap();
    let other = folder.path().join("other.toml");
    let missing = load(Some(&other)).unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }), "{missing}");
    std::fs::write(&other, "data =").unwrap();
    let error = load(Some(&other)).unwrap_err().to_string();
    assert!(error.contains("other.toml:1: "), "{error}");
}
