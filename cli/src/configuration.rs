//! The settings of the whole program, read in one pass so that all problems are reported together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use autorma_classifier::Trial;
use autorma_models::Manifest;
use autorma_models::registry::{Registry, Source};
use autorma_service::settings::{self, Key, Settings};
use autorma_service::{http, logging};

use crate::args::Cli;
use crate::log_settings::LogSettings;
use crate::registry_settings;

const DATA: Key = Key::new(
    "data",
    "data/autorma",
    "folder of the log, the locks and the registry: the state of everything",
);
const DRAIN: Key = Key::new("drain", "20s", "how long work in hand may take after a stop was asked for");

/// Everything that is configured.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// The file that a flag names, if one does.
    pub(crate) file: Option<PathBuf>,
    pub(crate) data: PathBuf,
    pub(crate) log: LogSettings,
    pub(crate) drain: Duration,
    pub(crate) logging: logging::Config,
    pub(crate) http: http::Config,
    pub(crate) ingest: autorma_ingest::Config,
    pub(crate) classifier: autorma_classifier::Config,
    pub(crate) sink: autorma_sink::Config,
    /// Whether something other than the default says where metrics are served.
    pub(crate) http_chosen: bool,
    /// Whether a flag does.
    pub(crate) http_by_flag: bool,
    /// Whether something other than the default names the classifier.
    pub(crate) slot_chosen: bool,
}

impl Configuration {
    /// Reads it; what is wrong is left in the settings for [`Settings::finish`].
    pub(crate) fn read(cli: &Cli) -> anyhow::Result<(Self, Settings)> {
        let file = cli.configuration_file();
        let mut settings = settings::load(file.as_deref(), Path::new("."), cli.layer())?;
        let data = settings.folder(&DATA);
        let registry = registry_settings::read(&mut settings, &data);
        let mut configuration = Self {
            file: cli.configuration_flag(),
            data,
            log: LogSettings::read(&mut settings),
            drain: settings.get(&DRAIN, ..=Duration::from_secs(3600)),
            logging: logging::Config::read(&mut settings),
            http: http::Config::read(&mut settings),
            ingest: autorma_ingest::Config::read(&mut settings),
            classifier: autorma_classifier::Config::read(&mut settings, registry),
            sink: autorma_sink::Config::read(&mut settings),
            http_chosen: false,
            http_by_flag: false,
            slot_chosen: false,
        };
        let address = settings.origin("http.address");
        configuration.http_chosen = address.is_some();
        configuration.http_by_flag = address.is_some_and(|origin| ["--http", "--set"].contains(&origin));
        configuration.slot_chosen = settings.origin("classifier.slot").is_some();
        configuration.complete(settings.origin("classifier.model").is_some());
        Ok((configuration, settings))
    }

    /// Where model versions are kept.
    pub(crate) fn registry(&self) -> anyhow::Result<Box<dyn Registry>> {
        Ok(self.classifier.registry.open()?)
    }

    /// Warns of a class that the model doesn't know. Predictions of earlier models may have it all the same.
    pub(crate) fn warn_of_unknown_class(&self, class: Option<&str>) {
        let Some(class) = class else { return };
        let known = self.registry().and_then(|registry| Ok(self.classifier.model.manifest(&*registry)?));
        if let Ok(Manifest { name, version, classes, .. }) = known
            && !classes.iter().any(|known| known == class)
        {
            let known = classes.join(", ");
            tracing::warn!("{name} {version} knows no class {class:?} (--class), only {known}");
        }
    }

    /// An error if a process that publishes its own photos couldn't read them then.
    pub(crate) fn expect_own_photos_readable(&self) -> anyhow::Result<()> {
        let (input, roots) = (&self.ingest.input, &self.classifier.roots);
        // One that isn't there is ingest's to tell.
        let Ok(folder) = input.canonicalize() else { return Ok(()) };
        if !roots.is_empty() && !autorma_classifier::is_below(&folder, roots) {
            anyhow::bail!(
                "{} (ingest.input) isn't below a folder of classifier.roots, so all of its photos would be refused: add it \
                 there, or set no classifier.roots, with which the folders that ingest publishes from are allowed",
                input.display()
            );
        }
        Ok(())
    }

    /// What follows from other settings, or from where the program is.
    fn complete(&mut self, model_chosen: bool) {
        let classifier = &mut self.classifier;
        if classifier.runtime.as_os_str().is_empty() {
            classifier.runtime = beside_the_program("onnxruntime/libonnxruntime.so");
        }
        // This very program, even when another one has been put in its place meanwhile.
        let arguments = vec!["try-model".into(), classifier.runtime.clone()];
        classifier.trial = Some(Trial { program: "/proc/self/exe".into(), arguments });
        let is_missing = matches!(&classifier.model, Source::Folder(folder) if !folder.exists());
        if !model_chosen && is_missing {
            classifier.model = Source::Folder(beside_the_program("models/shipped"));
        }
    }
}

#[cfg(test)]
impl Configuration {
    /// That of a command line, for tests.
    pub(crate) fn of(words: &[&str]) -> Self {
        use clap::Parser;
        let cli = Cli::parse_from(["autorma"].into_iter().chain(words.iter().copied()));
        Self::read(&cli).unwrap().0
    }
}

/// The backbone that training builds on, where `make backbone` puts it.
pub(crate) fn backbone() -> PathBuf {
    beside_the_program("backbone/efficientnet-lite.onnx")
}

/// The file in the folder of the program or one of those above: both a clone's `target/release/autorma` and an
/// unpacked release find what belongs to them. If it is nowhere, its place in the program's own folder.
fn beside_the_program(file: &str) -> PathBuf {
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).unwrap_or_default();
    let folders = || program.ancestors().skip(1).take(3);
    let found = folders().map(|folder| folder.join(file)).find(|path| path.exists());
    found.or_else(|| Some(folders().next()?.join(file))).unwrap_or_else(|| file.into())
}
