use std::path::{Path, PathBuf};

use autorma_models::{Input, Model, mean};
use autorma_service::Shutdown;
use ndarray::{Array4, ArrayView1, ArrayView4, Axis};
use ort::environment::Environment;
use ort::session::Session as OrtSession;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use parking_lot::Mutex;

use crate::Picture;

/// ONNX Runtime, loaded from its shared library.
#[derive(Debug)]
pub struct Runtime(Environment);

#[cfg(any(test, feature = "fixtures"))]
impl Runtime {
    /// The one in the clone, where `make runtime` puts it.
    #[expect(clippy::missing_panics_doc, reason = "for tests")]
    pub fn of_the_clone() -> Self {
        Self::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/onnxruntime/libonnxruntime.so"))
            .unwrap()
    }
}

/// Why a model can't be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The shared library isn't there or isn't ONNX Runtime.
    #[error("onnx runtime at {path}: {cause}")]
    Runtime {
        /// The shared library.
        path: PathBuf,
        /// What went wrong, and what to do.
        cause: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("onnx runtime refuses the model: {0}")]
    Model(String),
    /// The model isn't what its manifest says.
    #[error("the model and its manifest disagree: {0}")]
    Manifest(String),
    /// Trying it in a process of its own has shown why not.
    #[error("{0}")]
    Trial(String),
    /// There is no process to try it in, which says nothing of it.
    #[error("a process for it: {0}")]
    Process(std::io::Error),
    /// A member of an ensemble can't be run.
    #[error("member {number}: {cause}")]
    Member {
        /// Which, from 1.
        number: usize,
        /// Why.
        cause: Box<LoadError>,
    },
}

impl Runtime {
    /// Loads the shared library at `path`; the first one that a process loads stays: it allows no second, and a
    /// classifier that begins anew comes here again.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
        let mut loaded = LOADED.lock();
        if let Some(environment) = &*loaded {
            return Ok(Self(environment.clone()));
        }
        let failed = |cause: String| {
            let cause = format!("{cause}; {}", remedy(path));
            LoadError::Runtime { path: path.to_owned(), cause }
        };
        let builder = ort::init_from(path).map_err(|error| failed(error.to_string()))?;
        let environment = builder.with_name("autorma").with_telemetry(false).build();
        let environment = environment.map_err(|error| failed(error.to_string()))?;
        Ok(Self(loaded.insert(environment).clone()))
    }
}

/// What helps where it can't be loaded: what is wrong with a library that is there nobody says.
fn remedy(library: &Path) -> &'static str {
    match library.exists() {
        true => {
            "the file is there: is it for this kind of machine, and may the process have the memory and the files for it \
             (ulimit -v, ulimit -n)?"
        }
        false => "`make runtime` fetches it, `classifier.runtime` names another place",
    }
}

/// A model ready to run on one thread.
#[derive(Debug)]
pub struct Session {
    /// One for each member.
    networks: Vec<Network>,
    /// What each of them counts; they add up to 1.
    shares: Vec<f64>,
    /// Numbers for each picture.
    outputs: usize,
    /// Normalised values of each channel: index by the byte.
    normalised: [[f32; 256]; 3],
    /// Room for the pictures of one call.
    tensor: Array4<f32>,
    /// How many pictures go into one call.
    at_once: usize,
}

/// An ONNX file in ONNX Runtime.
#[derive(Debug)]
struct Network {
    session: OrtSession,
    /// The input's name in the graph.
    input: String,
    /// The output's.
    output: String,
    /// Numbers for each picture.
    outputs: usize,
}

impl Session {
    /// Loads the model and tries each member on pictures, each by itself and all together: what doesn't fit the manifest
    /// shows here. `at_once` is how many pictures go into one call, at least 1; only one does, if together they get other
    /// bits than alone, or get nothing.
    pub fn load(runtime: &Runtime, model: &Model, at_once: usize) -> Result<Self, LoadError> {
        let mut session = Self::of_tried(runtime, model, at_once, None)?;
        session.ask()?;
        Ok(session)
    }

    /// The same for a model that was tried before, maybe in another process: it is believed, and `at_once` is what showed
    /// then. This takes a fifth of the time. A shutdown breaks it off, for without one it may take half a
    /// minute.
    pub(crate) fn of_tried(
        runtime: &Runtime,
        model: &Model,
        at_once: usize,
        shutdown: Option<&Shutdown>,
    ) -> Result<Self, LoadError> {
        let manifest = &model.manifest;
        let mut session = Self::empty(&manifest.input, manifest.outputs(), at_once);
        for (number, onnx) in model.onnx.iter().enumerate() {
            let names = (&*manifest.input.name, &*manifest.output.name);
            let added = session.add(runtime, onnx, names, shutdown);
            added.map_err(|cause| of_member(cause, number, model.onnx.len()))?;
        }
        session.shares = manifest.shares();
        Ok(session)
    }

    /// As [`Session::load`] for any ONNX file that says `outputs` numbers of each picture, whatever they mean: training
    /// asks a backbone for features.
    pub fn of(
        runtime: &Runtime,
        onnx: &[u8],
        input: &Input,
        output: &str,
        outputs: usize,
        at_once: usize,
    ) -> Result<Self, LoadError> {
        let mut session = Self::empty(input, outputs, at_once);
        session.add(runtime, onnx, (&*input.name, output), None)?;
        session.shares.push(1.0);
        session.ask()?;
        Ok(session)
    }

    /// How many pictures go into one call. Fewer than were asked for, if the model's numbers for a picture depend on the
    /// others.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// Without a network.
    fn empty(input: &Input, outputs: usize, at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            networks: Vec::new(),
            shares: Vec::new(),
            outputs,
            normalised: normalised(input),
            tensor: Array4::zeros((at_once, 3, input.height as usize, input.width as usize)),
            at_once,
        }
    }

    fn add(
        &mut self,
        runtime: &Runtime,
        onnx: &[u8],
        (input, output): (&str, &str),
        shutdown: Option<&Shutdown>,
    ) -> Result<(), LoadError> {
        let session = open(runtime, onnx, shutdown).map_err(|error| LoadError::Model(error.to_string()))?;
        let (input, output) = (input.to_owned(), output.to_owned());
        self.networks.push(Network { session, input, output, outputs: self.outputs });
        Ok(())
    }

    /// Whether each network says numbers of pictures. One whose numbers depend on the pictures beside, or who takes one
    /// only, is asked about each by itself from then on.
    fn ask(&mut self) -> Result<(), LoadError> {
        let (_, _, height, width) = self.tensor.dim();
        let pictures: Vec<_> = (0..self.at_once).map(|number| pale(number, width * height)).collect();
        self.fill(&pictures.iter().collect::<Vec<_>>());
        let members = self.networks.len();
        for (number, network) in self.networks.iter_mut().enumerate() {
            let alone = network.infer_each(self.tensor.view());
            let alone = alone.map_err(|cause| of_member(cause, number, members))?;
            if self.at_once > 1 && network.infer(self.tensor.view()).as_ref() != Ok(&alone) {
                self.at_once = 1;
            }
        }
        Ok(())
    }

    /// The logits of each picture of a micro-batch, [`autorma_models::Manifest::outputs`] of them: those of the model's
    /// network, or the mean of its members'.
    pub fn infer(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<f32>>, String> {
        let mut logits = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(self.at_once) {
            logits.extend(self.call(pictures)?);
        }
        Ok(logits)
    }

    fn call(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<f32>>, String> {
        self.fill(pictures);
        let filled = self.tensor.slice_axis(Axis(0), (0..pictures.len()).into());
        let said = self.networks.iter_mut().map(|network| network.infer(filled));
        let logits = mean(&self.shares, &said.collect::<Result<Vec<_>, _>>()?);
        Ok(logits.chunks_exact(self.outputs).map(<[f32]>::to_vec).collect())
    }

    /// Bytes by pixel become normalised floats by channel.
    fn fill(&mut self, pictures: &[&Picture]) {
        let channels = self.tensor.len_of(Axis(1));
        for (mut image, picture) in self.tensor.outer_iter_mut().zip(pictures) {
            let pixels = ArrayView1::from(&picture.0);
            for (channel, mut plane) in image.outer_iter_mut().enumerate() {
                let table = &self.normalised[channel];
                let values = pixels.iter().skip(channel).step_by(channels);
                plane.iter_mut().zip(values).for_each(|(to, value)| *to = table[usize::from(*value)]);
            }
        }
    }
}

impl Network {
    /// The logits of all pictures, each asked about by itself, as numbers that it says again.
    fn infer_each(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Vec<f32>, LoadError> {
        let mut logits = Vec::new();
        for picture in pictures.axis_chunks_iter(Axis(0), 1) {
            logits.extend(self.infer(picture).map_err(LoadError::Manifest)?);
        }
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(LoadError::Model("what it says of a white picture is not a number".into()));
        }
        let again = self.infer(pictures.slice_axis(Axis(0), (0..1).into())).map_err(LoadError::Manifest)?;
        match logits.starts_with(&again) {
            true => Ok(logits),
            false => Err(LoadError::Model("it says something else of the same picture each time".into())),
        }
    }

    /// The logits of all pictures, one after the other.
    fn infer(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Vec<f32>, String> {
        let (name, outputs, count) = (self.output.as_str(), self.outputs, pictures.len_of(Axis(0)));
        let input = TensorRef::from_array_view(pictures).map_err(|error| error.to_string())?;
        let inputs = ort::inputs![self.input.as_str() => input];
        let result = self.session.run(inputs).map_err(|error| error.to_string())?;
        let output = result.get(name).ok_or_else(|| format!("there is no output {name:?}"))?;
        let (shape, logits) = output.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
        // Those of a picture stand together: as many numbers in another order are other pictures'.
        let is_by_picture = shape.first().is_some_and(|first| usize::try_from(*first) == Ok(count));
        if !is_by_picture || logits.len() != count * outputs {
            return Err(format!(
                "outputs of shape {shape:?} for {count} pictures and {outputs} numbers each"
            ));
        }
        Ok(logits.to_vec())
    }
}

fn of_member(cause: LoadError, number: usize, members: usize) -> LoadError {
    match members {
        1 => cause,
        _ => LoadError::Member { number: number + 1, cause: cause.into() },
    }
}

/// One thread computes, and sleeps when there is nothing to do: two sessions beat two threads in one.
fn open(runtime: &Runtime, onnx: &[u8], shutdown: Option<&Shutdown>) -> ort::Result<OrtSession> {
    let mut builder = OrtSession::builder(&runtime.0)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_config_entry("session.intra_op.allow_spinning", "0")?
        // Weights in other files would be read from wherever the process happens to be, and no hash covers them: nothing
        // is below this.
        .with_config_entry("session.model_external_initializers_file_folder_path", "/dev/null")?;
    let canceler = builder.canceler();
    let _listening = shutdown.map(|shutdown| shutdown.on_request(move || drop(canceler.cancel())));
    builder.commit_from_memory(onnx)
}

/// What a network is tried on: a white picture, and others that are nearly so, no two alike.
fn pale(number: usize, pixels: usize) -> Picture {
    Picture((0..3 * pixels).map(|at| 255 - (number * (at * 7 % 61) % 64) as u8).collect())
}

fn normalised(input: &Input) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| std::array::from_fn(|value| input.normalised(channel, value as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_there_needs_no_fetching() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libonnxruntime.so");
        assert!(remedy(&library).contains("make runtime"));
        std::fs::write(&library, "").unwrap();
        assert!(remedy(&library).contains("ulimit -v") && !remedy(&library).contains("make runtime"));
    }
}
