//! Models small enough to be written by hand, for tests and measurements (feature `handmade`), in the encoding of Protocol
//! Buffers with the field numbers of ONNX's `onnx.proto3`. They take pictures of [`SIDE`] × [`SIDE`] and know three
//! classes: `reds`, `greens` and `blues`.

use std::fs;
use std::io;
use std::path::Path;

use autorma_schemas::sha256;
use serde_json::{Value, json};

use crate::MANIFEST;

/// Pixels of each side.
pub const SIDE: u32 = 8;

/// Writes a model and its manifest to a folder, which is created.
pub fn write(folder: &Path, name: &str, onnx: &[u8]) -> io::Result<()> {
    fs::create_dir(folder)?;
    let model = written(folder, format!("{name}.onnx"), onnx)?;
    describe(folder, name, |manifest| manifest["model"] = model)
}

/// The same of several with their weights: an ensemble, whose files are `0.onnx`, `1.onnx` and so on.
pub fn write_ensemble(folder: &Path, name: &str, members: &[(Vec<u8>, f64)]) -> io::Result<()> {
    fs::create_dir(folder)?;
    let members = members.iter().enumerate().map(|(number, (onnx, weight))| {
        Ok(json!({"model": written(folder, format!("{number}.onnx"), onnx)?, "weight": weight}))
    });
    let members = members.collect::<io::Result<_>>()?;
    describe(folder, name, |manifest| manifest["members"] = Value::Array(members))
}

/// Writes an ONNX file. What a manifest says of it.
fn written(folder: &Path, file: String, onnx: &[u8]) -> io::Result<Value> {
    fs::write(folder.join(&file), onnx)?;
    Ok(json!({"file": file, "sha256": sha256(onnx), "bytes": onnx.len(), "precision": "fp32"}))
}

/// Writes a manifest, once `complete` has said what its files are.
fn describe(folder: &Path, name: &str, complete: impl FnOnce(&mut Value)) -> io::Result<()> {
    let mut manifest = json!({
        "format": 1, "name": name, "version": "7",
        "input": {
            "name": "image", "width": SIDE, "height": SIDE, "layout": "NCHW", "color": "RGB",
            "resize": "stretch-bilinear-antialiased", "mean": [127, 127, 127], "std": [128, 128, 128]
        },
        "output": {"name": "logits"}, "classes": ["reds", "greens", "blues"], "temperature": 1.0,
        "thresholds": {"accept": 0.5, "unknown": 0.5}, "origin": {}, "licence": "Apache-2.0"
    });
    complete(&mut manifest);
    fs::write(folder.join(MANIFEST), manifest.to_string())
}

/// A BMP of one colour, in the size that these models take.
pub fn picture([red, green, blue]: [u8; 3]) -> Vec<u8> {
    let pixels = [blue, green, red].repeat((SIDE * SIDE) as usize);
    let (bytes, mut file) = (pixels.len() as u32, b"BM".to_vec());
    let header = [54 + bytes, 0, 54, 40, SIDE, SIDE, 1 | 24 << 16, 0, bytes, 2835, 2835, 0, 0];
    header.iter().for_each(|value| file.extend(value.to_le_bytes()));
    file.extend(pixels);
    file
}

/// Next to nothing: each class's logit is its colour's mean.
pub fn means() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "logits", Some(("axis", 1))),
    ];
    model("means", &nodes, &[])
}

/// The opposite of [`means`].
pub fn negatives() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("Neg", &["means"], "logits", None),
    ];
    model("negatives", &nodes, &[])
}

/// Each class's logit is the logarithm of its colour's mean, which is not a number for dark pictures. A picture that has
/// far more red than blue makes the whole call fail: its index is out of bounds.
pub fn fussy() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("MatMul", &["means", "red-blue"], "difference", None),
        node("Cast", &["difference"], "index", Some(("to", INT64))),
        node("Gather", &["nothing", "index"], "zero", Some(("axis", 0))),
        node("Log", &["means"], "logarithms", None),
        node("Add", &["logarithms", "zero"], "logits", None),
    ];
    let tensors = [tensor("red-blue", &[3, 1], &[1.0, 0.0, -1.0]), tensor("nothing", &[1], &[0.0])];
    model("fussy", &nodes, &tensors)
}

/// The same as [`means`] but for what 8 bits lose, and for one more, which no softmax sees: the numbers are bytes on their way.
pub fn quantized() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("Add", &["means", "one"], "positive", None),
        node("QuantizeLinear", &["positive", "step"], "bytes", None),
        node("DequantizeLinear", &["bytes", "step"], "logits", None),
    ];
    model("quantized", &nodes, &[tensor("one", &[1], &[1.0]), tensor("step", &[], &[0.01])])
}

/// What it says of a picture depends on the others that it is asked about with it: the lightest of all.
pub fn sociable() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("ReduceMax", &["means"], "largest", None),
        node("Mul", &["means", "largest"], "logits", None),
    ];
    model("sociable", &nodes, &[])
}

/// It would compute for ever.
pub fn endless() -> Vec<u8> {
    let mut body = Vec::new();
    bytes(&mut body, 1, &node("Identity", &["goes on"], "on", None));
    bytes(&mut body, 1, &node("Identity", &["numbers"], "the same", None));
    bytes(&mut body, 2, b"body");
    for input in
        [typed("round", INT64, Some(&[])), typed("goes on", BOOL, Some(&[])), typed("numbers", FLOAT, None)]
    {
        bytes(&mut body, 11, &input);
    }
    for output in [typed("on", BOOL, Some(&[])), typed("the same", FLOAT, None)] {
        bytes(&mut body, 12, &output);
    }
    let mut attribute = Vec::new();
    bytes(&mut attribute, 1, b"body");
    bytes(&mut attribute, 6, &body);
    number(&mut attribute, 20, ATTRIBUTE_GRAPH);
    let mut turns = node("Loop", &["rounds", "", "means"], "logits", None);
    bytes(&mut turns, 5, &attribute);
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("Cast", &["many"], "rounds", Some(("to", INT64))),
        turns,
    ];
    model("endless", &nodes, &[tensor("many", &[], &[4e18])])
}

/// Says its pictures' means through functions of its own: the first does nothing, and each other one calls the one before
/// it, so many times in a row. With one call each, who follows them needs a deep stack; with two, ever more time.
pub fn nested(functions: usize, calls: usize) -> Vec<u8> {
    let call = |function: usize, input: &str, output: &str| {
        let mut call = node(&format!("function-{function}"), &[input], output, None);
        bytes(&mut call, 7, b"own");
        call
    };
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        call(functions - 1, "means", "logits"),
    ];
    let (mut model, mut own, mut usual) = (model("nested", &nodes, &[]), Vec::new(), Vec::new());
    bytes(&mut own, 1, b"own");
    number(&mut own, 2, 1);
    number(&mut usual, 2, 17);
    bytes(&mut model, 8, &own);
    for each in 0..functions {
        let mut function = Vec::new();
        bytes(&mut function, 1, format!("function-{each}").as_bytes());
        bytes(&mut function, 4, b"0");
        bytes(&mut function, 5, calls.to_string().as_bytes());
        let body: Vec<_> = match each {
            0 => vec![node("Identity", &["0"], &calls.to_string(), None)],
            _ => (0..calls).map(|at| call(each - 1, &at.to_string(), &(at + 1).to_string())).collect(),
        };
        body.iter().for_each(|node| bytes(&mut function, 7, node));
        bytes(&mut function, 9, &usual);
        bytes(&mut function, 9, &own);
        bytes(&mut function, 10, b"own");
        bytes(&mut model, 25, &function);
    }
    model
}

/// How many features [`backbone`] has.
pub const FEATURES: u64 = 12;

/// Something to train a head on: features that tell colours and edges apart.
pub fn backbone() -> Vec<u8> {
    backbone_with("Relu")
}

/// The same, with a function that has no corners, which training can't tune.
pub fn untunable() -> Vec<u8> {
    backbone_with("Sigmoid")
}

fn backbone_with(activation: &str) -> Vec<u8> {
    let nodes = [
        node("Conv", &["image", "weights"], "convolved", None),
        node(activation, &["convolved"], "activated", None),
        node("GlobalAveragePool", &["activated"], "features", None),
    ];
    // No two alike, of both signs.
    let weights: Vec<_> = (0..FEATURES * 3 * 3 * 3).map(|number| (number as f32 * 1.7).sin()).collect();
    let tensors = [tensor("weights", &[FEATURES, 3, 3, 3], &weights)];
    let facts =
        [("mean", "127 127 127"), ("std", "128 128 128"), ("origin", "by hand"), ("licence", "Apache-2.0")];
    file(17, "backbone", &nodes, &tensors, ("features", &[FEATURES, 1, 1]), &facts)
}

/// It says what is no number, of any picture: the logarithm of the negative.
pub fn senseless() -> Vec<u8> {
    let nodes = [
        node("GlobalAveragePool", &["image"], "pooled", None),
        node("Flatten", &["pooled"], "means", Some(("axis", 1))),
        node("Neg", &["means"], "negative", None),
        node("Log", &["negative"], "logits", None),
    ];
    model("senseless", &nodes, &[])
}

/// How many floats one of the [`hostile`] has in another file: of few, ONNX Runtime takes none even where it may.
pub const OUTSIDE: u64 = 64;

/// Files that no model should be loaded from, and what is wrong with each. One has numbers in another file, `weights.bin`.
pub fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let pooled = node("GlobalAveragePool", &["image"], "pooled", None);
    let means = node("Flatten", &["pooled"], "means", Some(("axis", 1)));
    let ending = |nodes: &[Vec<u8>], tensors: &[Vec<u8>]| {
        let all: Vec<_> = [pooled.clone(), means.clone()].into_iter().chain(nodes.iter().cloned()).collect();
        model("hostile", &all, tensors)
    };
    let mut outside = tensor("outside", &[OUTSIDE], &[]);
    let mut place = Vec::new();
    bytes(&mut place, 1, b"location");
    bytes(&mut place, 2, b"weights.bin");
    bytes(&mut outside, 13, &place);
    number(&mut outside, 14, 1);
    vec![
        ("not ONNX", b"MZ this is another kind of program".to_vec()),
        ("the half of a model", self::means()[..60].to_vec()),
        ("operators of the future", model_of(999, "future", &[pooled.clone(), means.clone()], &[])),
        // ONNX Runtime repeats it.
        (
            "a name without an end",
            ending(&[node(&"Frobnicate".repeat(20_000), &["means"], "logits", None)], &[]),
        ),
        ("operators that nobody has", ending(&[node("Frobnicate", &["means"], "logits", None)], &[])),
        ("another output", ending(&[node("Neg", &["means"], "other", None)], &[])),
        (
            "more numbers than classes",
            ending(&[node("Concat", &["means", "means"], "logits", Some(("axis", 1)))], &[]),
        ),
        ("what is no number", senseless()),
        (
            "numbers in another file",
            ending(
                &[
                    node("ReduceMax", &["outside"], "largest", Some(("keepdims", 0))),
                    node("Add", &["means", "largest"], "logits", None),
                ],
                &[outside],
            ),
        ),
        ("another input", {
            let nodes = [node("GlobalAveragePool", &["picture"], "pooled", None), means.clone()];
            model("hostile", &nodes, &[])
        }),
        (
            "numbers by class and not by picture",
            ending(&[node("Transpose", &["means"], "logits", None)], &[]),
        ),
        (
            "numbers of two pictures for one",
            ending(&[node("Add", &["means", "two"], "logits", None)], &[tensor("two", &[2, 3], &[0.0; 6])]),
        ),
        (
            "weights that are no number",
            ending(
                &[node("Add", &["means", "weights"], "logits", None)],
                &[tensor("weights", &[3], &[f32::NAN; 3])],
            ),
        ),
        ("more memory than there is", {
            let nodes = [
                node("Cast", &["shape"], "sizes", Some(("to", INT64))),
                node("ConstantOfShape", &["sizes"], "much", None),
                node("ReduceMax", &["much"], "zero", Some(("keepdims", 0))),
                node("Add", &["means", "zero"], "logits", None),
            ];
            ending(&nodes, &[tensor("shape", &[3], &[1500.0, 1000.0, 10_000.0])])
        }),
        ("ten gigabytes of zeros in few bytes", {
            let nodes = [
                constant(&sparse(&[2_500_000_000, 1]), "much"),
                node("ReduceMax", &["much"], "most", Some(("keepdims", 0))),
                node("Add", &["means", "most"], "logits", None),
            ];
            ending(&nodes, &[])
        }),
        ("a division by zero", {
            let nodes = [
                node("Cast", &["means"], "numbers", Some(("to", INT64))),
                node("Cast", &["nothing"], "zero", Some(("to", INT64))),
                node("Div", &["numbers", "zero"], "parts", None),
                node("Cast", &["parts"], "logits", Some(("to", FLOAT))),
            ];
            ending(&nodes, &[tensor("nothing", &[1], &[0.0])])
        }),
        ("calls in calls", nested(1000, 1)),
        ("another answer each time", ending(&[node("RandomUniformLike", &["means"], "logits", None)], &[])),
        ("no end", endless()),
    ]
}

fn model(name: &str, nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
    model_of(17, name, nodes, tensors)
}

/// Of a version of ONNX's operators.
fn model_of(version: u64, name: &str, nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
    file(version, name, nodes, tensors, ("logits", &[3]), &[])
}

/// With this output, and properties that say what the numbers don't.
fn file(
    version: u64,
    name: &str,
    nodes: &[Vec<u8>],
    tensors: &[Vec<u8>],
    (output, shape): (&str, &[u64]),
    facts: &[(&str, &str)],
) -> Vec<u8> {
    let mut graph = Vec::new();
    nodes.iter().for_each(|node| bytes(&mut graph, 1, node));
    bytes(&mut graph, 2, name.as_bytes());
    tensors.iter().for_each(|tensor| bytes(&mut graph, 5, tensor));
    bytes(&mut graph, 11, &value("image", &[3, SIDE.into(), SIDE.into()]));
    bytes(&mut graph, 12, &value(output, shape));
    let mut operators = Vec::new();
    number(&mut operators, 2, version);
    let mut model = Vec::new();
    number(&mut model, 1, 8);
    bytes(&mut model, 7, &graph);
    bytes(&mut model, 8, &operators);
    for (key, text) in facts {
        let mut fact = Vec::new();
        bytes(&mut fact, 1, key.as_bytes());
        bytes(&mut fact, 2, text.as_bytes());
        bytes(&mut model, 14, &fact);
    }
    model
}

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const BOOL: u64 = 9;
const ATTRIBUTE_INT: u64 = 2;
const ATTRIBUTE_GRAPH: u64 = 5;
const ATTRIBUTE_SPARSE_TENSOR: u64 = 11;

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Option<(&str, u64)>) -> Vec<u8> {
    let mut node = Vec::new();
    inputs.iter().for_each(|input| bytes(&mut node, 1, input.as_bytes()));
    bytes(&mut node, 2, output.as_bytes());
    bytes(&mut node, 4, operator.as_bytes());
    if let Some((name, value)) = attribute {
        let mut attribute = Vec::new();
        bytes(&mut attribute, 1, name.as_bytes());
        number(&mut attribute, 3, value);
        number(&mut attribute, 20, ATTRIBUTE_INT);
        bytes(&mut node, 5, &attribute);
    }
    node
}

fn tensor(name: &str, shape: &[u64], values: &[f32]) -> Vec<u8> {
    let mut tensor = Vec::new();
    shape.iter().for_each(|size| number(&mut tensor, 1, *size));
    number(&mut tensor, 2, FLOAT);
    bytes(&mut tensor, 8, name.as_bytes());
    if !values.is_empty() {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes(&mut tensor, 9, &raw);
    }
    tensor
}

/// A node that gives these numbers.
fn constant(sparse: &[u8], output: &str) -> Vec<u8> {
    let mut attribute = Vec::new();
    bytes(&mut attribute, 1, b"sparse_value");
    bytes(&mut attribute, 22, sparse);
    number(&mut attribute, 20, ATTRIBUTE_SPARSE_TENSOR);
    let mut constant = node("Constant", &[], output, None);
    bytes(&mut constant, 5, &attribute);
    constant
}

/// A one at the first place and zeros at all others, which aren't written.
fn sparse(shape: &[u64]) -> Vec<u8> {
    let mut places = Vec::new();
    number(&mut places, 1, 1);
    number(&mut places, 2, INT64);
    bytes(&mut places, 9, &0_i64.to_le_bytes());
    let mut sparse = Vec::new();
    bytes(&mut sparse, 1, &tensor("", &[1], &[1.0]));
    bytes(&mut sparse, 2, &places);
    shape.iter().for_each(|size| number(&mut sparse, 3, *size));
    sparse
}

/// An input or output of floats: any number of pictures, then this shape.
fn value(name: &str, shape: &[u64]) -> Vec<u8> {
    let mut pictures = Vec::new();
    bytes(&mut pictures, 2, b"pictures");
    let sizes = shape.iter().map(|size| {
        let mut dimension = Vec::new();
        number(&mut dimension, 1, *size);
        dimension
    });
    typed(name, FLOAT, Some(&std::iter::once(pictures).chain(sizes).collect::<Vec<_>>()))
}

/// One of these numbers; without dimensions, of any shape.
fn typed(name: &str, numbers: u64, dimensions: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut tensor = Vec::new();
    number(&mut tensor, 1, numbers);
    if let Some(dimensions) = dimensions {
        let mut shape = Vec::new();
        dimensions.iter().for_each(|dimension| bytes(&mut shape, 1, dimension));
        bytes(&mut tensor, 2, &shape);
    }
    let mut kind = Vec::new();
    bytes(&mut kind, 1, &tensor);
    let mut value = Vec::new();
    bytes(&mut value, 1, name.as_bytes());
    bytes(&mut value, 2, &kind);
    value
}

/// A field that holds a number.
fn number(message: &mut Vec<u8>, field: u64, value: u64) {
    varint(message, field << 3);
    varint(message, value);
}

/// A field that holds text, bytes or another message.
fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(message, field << 3 | 2);
    varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
