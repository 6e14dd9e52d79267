use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use autorma_models::{Input, Model, mean};
use ndarray::{Array4, ArrayView1, ArrayView4, Axis};
use ort::environment::Environment;
use ort::session::Session as OrtSession;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::Picture;

/// ONNX Runtime, loaded from its shared library.
#[derive(Debug)]
pub struct Runtime(Environment);

/// Why a model can't be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The shared library isn't there or isn't ONNX Runtime.
    #[error(
        "onnx runtime at {path}: {cause}; `make runtime` fetches it, `classifier.runtime` names another place"
    )]
    Runtime {
        /// The shared library.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("onnx runtime refuses the model: {0}")]
    Model(String),
    /// The model isn't what its manifest says.
    #[error("the model and its manifest disagree: {0}")]
    Manifest(String),
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
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = &*loaded {
            return Ok(Self(environment.clone()));
        }
        let failed = |cause: String| LoadError::Runtime { path: path.to_owned(), cause };
        let builder = ort::init_from(path).map_err(|error| failed(error.to_string()))?;
        let environment = builder.with_name("autorma").with_telemetry(false).build();
        let environment = environment.map_err(|error| failed(error.to_string()))?;
        Ok(Self(loaded.insert(environment).clone()))
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
    /// Loads the model and tries each member on a blank picture: what doesn't fit the manifest shows here. `at_once` is how
    /// many pictures go into one call, at least 1.
    pub fn load(runtime: &Runtime, model: &Model, at_once: usize) -> Result<Self, LoadError> {
        let manifest = &model.manifest;
        let mut session = Self::empty(&manifest.input, manifest.outputs(), at_once);
        for (number, onnx) in model.onnx.iter().enumerate() {
            let added = session.add(runtime, onnx, &manifest.input.name, &manifest.output.name);
            added.map_err(|cause| match &*model.onnx {
                [_] => cause,
                _ => LoadError::Member { number: number + 1, cause: cause.into() },
            })?;
        }
        session.shares = manifest.shares();
        Ok(session)
    }

    /// The same for any ONNX file that says `outputs` numbers of each picture, whatever they mean: training asks a
    /// backbone for features.
    pub fn of(
        runtime: &Runtime,
        onnx: &[u8],
        input: &Input,
        output: &str,
        outputs: usize,
        at_once: usize,
    ) -> Result<Self, LoadError> {
        let mut session = Self::empty(input, outputs, at_once);
        session.add(runtime, onnx, &input.name, output)?;
        session.shares.push(1.0);
        Ok(session)
    }

    /// Without a network; in the tensor are blank pictures.
    fn empty(input: &Input, outputs: usize, at_once: usize) -> Self {
        let mut session = Self {
            networks: Vec::new(),
            shares: Vec::new(),
            outputs,
            normalised: normalised(input),
            tensor: Array4::zeros((at_once.max(1), 3, input.height as usize, input.width as usize)),
        };
        let blank = Picture(vec![255; 3 * (input.width * input.height) as usize]);
        session.fill(&vec![&blank; at_once.max(1)]);
        session
    }

    /// Adds a network, if it says numbers of what is in the tensor.
    fn add(&mut self, runtime: &Runtime, onnx: &[u8], input: &str, output: &str) -> Result<(), LoadError> {
        let session = open(runtime, onnx).map_err(|error| LoadError::Model(error.to_string()))?;
        let (input, output) = (input.to_owned(), output.to_owned());
        let mut network = Network { session, input, output, outputs: self.outputs };
        let logits = network.infer(self.tensor.view()).map_err(LoadError::Manifest)?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(LoadError::Model("what it says of a white picture is not a number".into()));
        }
        self.networks.push(network);
        Ok(())
    }

    /// The logits of each picture of a micro-batch, [`autorma_models::Manifest::outputs`] of them: those of the model's
    /// network, or the mean of its members'.
    pub fn infer(&mut self, pictures: &[&Picture]) -> Result<Vec<Vec<f32>>, String> {
        let mut logits = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(self.tensor.len_of(Axis(0))) {
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
    /// The logits of all pictures, one after the other.
    fn infer(&mut self, pictures: ArrayView4<'_, f32>) -> Result<Vec<f32>, String> {
        let (name, outputs, count) = (self.output.as_str(), self.outputs, pictures.len_of(Axis(0)));
        let input = TensorRef::from_array_view(pictures).map_err(|error| error.to_string())?;
        let inputs = ort::inputs![self.input.as_str() => input];
        let result = self.session.run(inputs).map_err(|error| error.to_string())?;
        let output = result.get(name).ok_or_else(|| format!("there is no output {name:?}"))?;
        let (shape, logits) = output.try_extract_tensor::<f32>().map_err(|error| error.to_string())?;
        if logits.len() != count * outputs {
            return Err(format!(
                "outputs of shape {shape:?} for {count} pictures and {outputs} numbers each"
            ));
        }
        Ok(logits.to_vec())
    }
}

/// One thread computes, and sleeps when there is nothing to do: two sessions beat two threads in one.
fn open(runtime: &Runtime, onnx: &[u8]) -> ort::Result<OrtSession> {
    OrtSession::builder(&runtime.0)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_config_entry("session.intra_op.allow_spinning", "0")?
        .commit_from_memory(onnx)
}

fn normalised(input: &Input) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| std::array::from_fn(|value| input.normalised(channel, value as u8)))
}
