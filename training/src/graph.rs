//! The backbone as a file, and the classifier that a head makes of it.

use std::collections::BTreeMap;
use std::path::Path;

use autorma_classifier::{Runtime, Session};
use autorma_models::Input;
use autorma_schemas::sha256;
use ndarray::{Array1, Array2};
use prost::Message;

use crate::Error;
use crate::onnx::{
    Dimension, Entry, Graph, Model, Node, Number, Opset, Shape, Tensor, TensorType, Type, Value,
};
use crate::tuning::Network;

/// The backbone's one input.
const IMAGE: &str = "image";
/// Its one output.
const FEATURES: &str = "features";
/// The classifier's.
const LOGITS: &str = "logits";

/// A network that says numbers about a picture from which a head can tell what it shows; it isn't trained here.
#[derive(Debug, Clone)]
pub(crate) struct Backbone {
    /// Its file.
    pub(crate) onnx: Vec<u8>,
    pub(crate) sha256: String,
    /// What goes in.
    pub(crate) input: Input,
    /// How many numbers come out.
    pub(crate) features: usize,
    /// Where it comes from.
    pub(crate) origin: String,
    /// Under which licence.
    pub(crate) licence: String,
    model: Model,
}

impl Backbone {
    /// What its output is called.
    pub(crate) const FEATURES: &str = FEATURES;
    /// What the output of the classifier is called that it becomes with a head.
    pub(crate) const LOGITS: &str = LOGITS;

    /// Reads it and checks what training relies on: an input `image` of any number of pictures × 3 × height × width, an
    /// output `features` of pictures × numbers × 1 × 1, and the properties `mean`, `std`, `origin` and `licence`.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let onnx = std::fs::read(path).map_err(|cause| Error::NoBackbone { path: path.to_owned(), cause })?;
        Self::parse(onnx).map_err(|cause| Error::Backbone { path: path.to_owned(), cause })
    }

    /// The same from the file's content; what is wrong with it otherwise.
    pub(crate) fn parse(onnx: Vec<u8>) -> Result<Self, String> {
        let model = Model::decode(onnx.as_slice()).map_err(|error| format!("it is no ONNX file: {error}"))?;
        let graph = model.graph.as_ref().ok_or("it has no graph")?;
        if graph.initializer.iter().any(|tensor| !tensor.external_data.is_empty()) {
            return Err("its numbers lie in another file".into());
        }
        let ([input], [output]) = (graph.input.as_slice(), graph.output.as_slice()) else {
            return Err(format!("it must have one input, {IMAGE}, and one output, {FEATURES}"));
        };
        if input.name != IMAGE || output.name != FEATURES {
            return Err(format!("its input must be called {IMAGE} and its output {FEATURES}"));
        }
        let [_, 3, height, width] = sizes(input)[..] else {
            return Err(format!("{IMAGE} must be pictures × 3 × height × width"));
        };
        let [_, features, 1, 1] = sizes(output)[..] else {
            return Err(format!("{FEATURES} must be pictures × numbers × 1 × 1"));
        };
        let side = |size: i64| {
            u32::try_from(size)
                .ok()
                .filter(|size| (1..=4096).contains(size))
                .ok_or("sides must be within 1..4096")
        };
        let facts: BTreeMap<_, _> =
            model.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
        let fact =
            |key: &str| facts.get(key).copied().ok_or_else(|| format!("its property {key} is missing"));
        let channels = |key: &str| -> Result<[f32; 3], String> {
            let numbers: Result<Vec<f32>, _> = fact(key)?.split(' ').map(str::parse).collect();
            let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
            numbers.ok_or_else(|| format!("its property {key} must be three numbers"))
        };
        let input = Input {
            name: IMAGE.into(),
            width: side(width)?,
            height: side(height)?,
            layout: "NCHW".into(),
            color: "RGB".into(),
            resize: "stretch-bilinear-antialiased".into(),
            mean: channels("mean")?,
            std: channels("std")?,
        };
        let features = usize::try_from(features).ok().filter(|it| (1..=65_536).contains(it));
        let features = features.ok_or_else(|| format!("{FEATURES} must be within 1..65536"))?;
        let (origin, licence) = (fact("origin")?.to_owned(), fact("licence")?.to_owned());
        Ok(Self { sha256: sha256(&onnx), input, features, origin, licence, model, onnx })
    }

    /// Whether ONNX Runtime can run it, as it is and as it is written with a head behind it; why not otherwise.
    pub(crate) fn runs(&self, runtime: &Runtime) -> Result<(), String> {
        let Self { onnx, input, features, .. } = self;
        Session::of(runtime, onnx, input, FEATURES, *features, 1).map_err(|error| error.to_string())?;
        let written = self.with_head("tried", &Array2::zeros((1, *features)), &Array1::zeros(1));
        let tried = Session::of(runtime, &written, input, LOGITS, 1, 1);
        tried.map(drop).map_err(|error| {
            format!(
                "it has parts that aren't kept when it is written with a head, or are called as the head's are: {error}"
            )
        })
    }

    /// The classifier: the backbone with a head behind it. `weight` is outputs × features.
    ///
    /// The head is a 1×1 convolution and no matrix product: ONNX Runtime convolves picture by picture, and would choose
    /// another order of additions for a product of another number of pictures.
    pub(crate) fn with_head(&self, name: &str, weight: &Array2<f32>, bias: &Array1<f32>) -> Vec<u8> {
        let (outputs, features) = weight.dim();
        let mut graph = self.graph();
        name.clone_into(&mut graph.name);
        graph.node.extend([
            Node::of("Conv", &[FEATURES, "head.weight", "head.bias"], "head")
                .with("kernel_shape", Number::List(&[1, 1])),
            Node::of("Flatten", &["head"], LOGITS).with("axis", Number::One(1)),
        ]);
        graph.initializer.extend([
            Tensor::floats("head.weight", &[outputs, features, 1, 1], weight.iter().copied()),
            Tensor::floats("head.bias", &[outputs], bias.iter().copied()),
        ]);
        graph.output = vec![floats(LOGITS, &[outputs as i64])];
        self.written(graph, Vec::new())
    }

    /// Its network.
    pub(crate) fn graph(&self) -> Graph {
        self.model.graph.clone().unwrap_or_default()
    }

    /// The version of ONNX's own operators that the network is written in; 0 if it says none.
    pub(crate) fn operators(&self) -> i64 {
        let own = |opset: &&Opset| matches!(opset.domain.as_str(), "" | "ai.onnx");
        self.model.opset_import.iter().find(own).map_or(0, |opset| opset.version)
    }

    /// The same facts about another network of this kind.
    pub(crate) fn with_graph(&self, graph: Graph) -> Result<Self, String> {
        Self::parse(self.written(graph, self.model.metadata_props.clone()))
    }

    /// A network that says something else about the same pictures: `outputs` numbers, called `output`.
    pub(crate) fn that_says(&self, mut graph: Graph, output: &str, outputs: usize) -> Vec<u8> {
        graph.output = vec![floats(output, &[outputs as i64, 1, 1])];
        self.written(graph, Vec::new())
    }

    fn written(&self, graph: Graph, metadata_props: Vec<Entry>) -> Vec<u8> {
        let model = Model {
            ir_version: self.model.ir_version,
            producer_name: "autorma".into(),
            graph: Some(graph),
            opset_import: self.model.opset_import.clone(),
            metadata_props,
        };
        model.encode_to_vec()
    }

    /// What of it can learn, and its parameters; why it can't otherwise.
    pub(crate) fn network(&self) -> Result<(Network, Vec<f32>), String> {
        let (network, parameters) =
            Network::read(&self.graph(), self.input.height as usize, self.input.width as usize)?;
        match network.features() == self.features {
            true => Ok((network, parameters)),
            false => Err(format!("{} numbers come out, not {}", network.features(), self.features)),
        }
    }

    /// The same with other parameters.
    pub(crate) fn tuned(&self, network: &Network, parameters: &[f32]) -> Result<Self, String> {
        let mut graph = self.graph();
        network.write(parameters, &mut graph);
        self.with_graph(graph)
    }
}

/// Any number of pictures, then this shape.
pub(crate) fn floats(name: &str, shape: &[i64]) -> Value {
    let batch = Dimension { name: "batch".into(), ..Dimension::default() };
    let sizes = shape.iter().map(|size| Dimension { value: *size, ..Dimension::default() });
    let shape = Some(Shape { dim: std::iter::once(batch).chain(sizes).collect() });
    let tensor = Some(TensorType { elements: crate::onnx::FLOAT, shape });
    Value { name: name.into(), kind: Some(Type { tensor }) }
}

/// 0 where only the graph knows when it runs.
fn sizes(value: &Value) -> Vec<i64> {
    let shape = value.kind.as_ref().and_then(|kind| kind.tensor.as_ref()).and_then(|it| it.shape.as_ref());
    shape.map(|shape| shape.dim.iter().map(|dimension| dimension.value).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use autorma_classifier::{AT_ONCE, Picture};
    use autorma_models::{Model, handmade};
    use ndarray::Array;

    use super::*;
    use crate::onnx::Model as Written;

    #[test]
    fn the_classifier_says_what_the_head_says_of_the_backbone_s_features() {
        let runtime = Runtime::of_the_clone();
        let backbone = Backbone::parse(handmade::backbone()).unwrap();
        let Backbone { onnx, input, features, .. } = &backbone;
        assert_eq!(
            (*features as u64, input.width, input.std),
            (handmade::FEATURES, handmade::SIDE, [128.0; 3])
        );
        let weight = Array2::from_shape_fn((5, *features), |(row, column)| ((row * 7 + column) as f32).sin());
        let bias = Array::linspace(-1.0, 1.0, 5);
        let mut manifest =
            Model::manifest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/shipped")).unwrap();
        (manifest.input, manifest.output.unknown) = (input.clone(), Vec::new());
        let model = Model { onnx: vec![backbone.with_head("whole", &weight, &bias)], manifest };
        let pixels = 3 * handmade::SIDE * handmade::SIDE;
        let picture = Picture((0..pixels).map(|it| (it * 37 % 251) as u8).collect());
        let mut half = Session::of(&runtime, onnx, input, Backbone::FEATURES, *features, 1).unwrap();
        let mut whole = Session::load(&runtime, &model, AT_ONCE).unwrap();
        let expected = weight.dot(&Array1::from(half.infer(&[&picture]).unwrap().remove(0))) + bias;
        let logits = Array1::from(whole.infer(&[&picture]).unwrap().remove(0));
        assert!((&logits - &expected).iter().all(|it| it.abs() < 1e-4), "{logits} and {expected}");
        assert!(logits.iter().any(|it| it.abs() > 0.1), "{logits} say nothing");
    }

    /// A function of a model's own, and where it stands in the file.
    #[derive(Clone, PartialEq, Message)]
    struct Function {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, repeated, tag = "4")]
        input: Vec<String>,
        #[prost(string, repeated, tag = "5")]
        output: Vec<String>,
        #[prost(message, repeated, tag = "7")]
        node: Vec<Node>,
        #[prost(message, repeated, tag = "9")]
        opset_import: Vec<Opset>,
        #[prost(string, tag = "10")]
        domain: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Functions {
        #[prost(message, repeated, tag = "25")]
        functions: Vec<Function>,
    }

    #[test]
    fn what_isn_t_kept_when_it_is_written_or_is_called_as_the_head_s_parts_are_is_told() {
        let runtime = Runtime::of_the_clone();
        let runs = |onnx: Vec<u8>| Backbone::parse(onnx).unwrap().runs(&runtime);
        let whole = Written::decode(handmade::backbone().as_slice()).unwrap();
        runs(whole.encode_to_vec()).unwrap();
        let mut model = whole.clone();
        let clip = &mut model.graph.as_mut().unwrap().node[1];
        let node = vec![Node::of(&clip.op_type, &["in"], "out")];
        (clip.op_type, clip.domain) = ("clip".into(), "own".into());
        model.opset_import.push(Opset { domain: "own".into(), version: 1 });
        let function = Function {
            name: "clip".into(),
            input: vec!["in".into()],
            output: vec!["out".into()],
            node,
            opset_import: model.opset_import.clone(),
            domain: "own".into(),
        };
        let functions = Functions { functions: vec![function] }.encode_to_vec();
        let refused = runs([model.encode_to_vec(), functions].concat()).unwrap_err();
        assert!(refused.contains("aren't kept") && refused.contains("own"), "{refused}");
        let refused = runs(model.encode_to_vec()).unwrap_err();
        assert!(!refused.contains("aren't kept"), "nor can it be run as it is: {refused}");
        let mut model = whole;
        let graph = model.graph.as_mut().unwrap();
        graph.node[0].output = vec!["head.bias".into()];
        graph.node[1].input = vec!["head.bias".into()];
        let refused = runs(model.encode_to_vec()).unwrap_err();
        assert!(refused.contains("are called as the head's") && refused.contains("head.bias"), "{refused}");
    }

    #[test]
    fn what_isn_t_a_backbone_is_refused() {
        let wrong = |onnx: Vec<u8>| Backbone::parse(onnx).unwrap_err();
        assert!(wrong(b"MZ".to_vec()).contains("no ONNX file"));
        assert!(wrong(handmade::means()).contains("its output features"));
        let mut model = Written::decode(handmade::backbone().as_slice()).unwrap();
        model.metadata_props.retain(|fact| fact.key != "std");
        assert!(wrong(model.encode_to_vec()).contains("its property std is missing"));
        let mut model = Written::decode(handmade::backbone().as_slice()).unwrap();
        model.graph.as_mut().unwrap().initializer[0].external_data.push(Default::default());
        assert!(wrong(model.encode_to_vec()).contains("another file"));
        let mut model = Written::decode(handmade::backbone().as_slice()).unwrap();
        model.graph.as_mut().unwrap().output = vec![floats(FEATURES, &[12])];
        assert!(wrong(model.encode_to_vec()).contains("numbers × 1 × 1"));
    }
}
