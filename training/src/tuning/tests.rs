//! What a network says is what ONNX Runtime says, and its slopes are slopes.

use autorma_classifier::{Picture, Runtime, Session};
use autorma_models::Input;
use prost::Message;

use super::network::Network;
use super::normalised;
use crate::onnx::{Attribute, Dimension, FLOAT, Graph, INT, INTS, Model, Node, Opset, Shape, Tensor};
use crate::onnx::{TensorType, Type, Value};

const HEIGHT: usize = 9;
const WIDTH: usize = 8;
/// Of the last convolution.
const TOP: usize = 6;
/// Its means, and the means and maxima of an earlier one.
const FEATURES: usize = TOP + 8 + 8;

fn attribute(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.into(), kind: INTS, ints: ints.to_vec(), ..Attribute::default() }
}

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> Node {
    let input = inputs.iter().map(|it| (*it).to_owned()).collect();
    Node { op_type: operator.into(), input, output: vec![output.into()], attribute, ..Node::default() }
}

fn value(name: &str, sizes: &[usize]) -> Value {
    let batch = Dimension { name: "batch".into(), ..Dimension::default() };
    let sizes = sizes.iter().map(|size| Dimension { value: *size as i64, ..Dimension::default() });
    let shape = Some(Shape { dim: std::iter::once(batch).chain(sizes).collect() });
    Value { name: name.into(), kind: Some(Type { tensor: Some(TensorType { elements: FLOAT, shape }) }) }
}

/// All that a network can have: convolutions of each kind, with strides, padding that differs from side to side and without
/// biases, both kinds of clipping, a sum, means, maxima, channels in a row.
fn graph() -> Graph {
    let mut initializer = vec![
        Tensor::floats("zero", &[], std::iter::once(0.0)),
        Tensor::floats("six", &[], std::iter::once(6.0)),
    ];
    let mut numbers = (1..).map(|number: u32| (f64::from(number) * 1.7).sin() as f32 * 0.8);
    let mut tensor = |name: &str, dims: &[usize]| {
        let count = dims.iter().product();
        initializer.push(Tensor::floats(name, dims, numbers.by_ref().take(count)));
    };
    tensor("stem.weight", &[4, 3, 3, 3]);
    tensor("stem.bias", &[4]);
    tensor("expand.weight", &[8, 4, 1, 1]);
    tensor("expand.bias", &[8]);
    tensor("depthwise.weight", &[8, 1, 3, 3]);
    tensor("project.weight", &[4, 8, 1, 1]);
    tensor("project.bias", &[4]);
    tensor("wide.weight", &[4, 1, 5, 5]);
    tensor("wide.bias", &[4]);
    tensor("top.weight", &[TOP, 4, 2, 2]);
    let number = |name: &str, i| Attribute { name: name.into(), kind: INT, i, ..Attribute::default() };
    let (group, axis) = (|count| number("group", count), |axis| number("axis", axis));
    let strides = || attribute("strides", &[2, 2]);
    let node = vec![
        node(
            "Conv",
            &["image", "stem.weight", "stem.bias"],
            "stem",
            vec![strides(), attribute("pads", &[0, 0, 1, 1])],
        ),
        node("Clip", &["stem", "zero", "six"], "a", vec![]),
        node("Conv", &["a", "expand.weight", "expand.bias"], "expand", vec![]),
        node("Clip", &["expand", "zero", "six"], "b", vec![]),
        node(
            "Conv",
            &["b", "depthwise.weight"],
            "depthwise",
            vec![group(8), attribute("pads", &[1, 1, 1, 1])],
        ),
        node("Relu", &["depthwise"], "c", vec![]),
        node("Conv", &["c", "project.weight", "project.bias"], "project", vec![]),
        node("Add", &["project", "a"], "sum", vec![]),
        node(
            "Conv",
            &["sum", "wide.weight", "wide.bias"],
            "wide",
            vec![group(4), strides(), attribute("pads", &[1, 1, 2, 2])],
        ),
        node("Conv", &["wide", "top.weight"], "top", vec![]),
        node("Relu", &["top"], "d", vec![]),
        node("GlobalAveragePool", &["d"], "late", vec![]),
        node("GlobalAveragePool", &["c"], "early", vec![]),
        node("GlobalMaxPool", &["c"], "most", vec![]),
        node("Concat", &["late", "early", "most"], "features", vec![axis(1)]),
    ];
    Graph {
        node,
        name: "all".into(),
        initializer,
        input: vec![value("image", &[3, HEIGHT, WIDTH])],
        output: vec![value("features", &[FEATURES, 1, 1])],
    }
}

fn input() -> Input {
    Input {
        name: "image".into(),
        width: WIDTH as u32,
        height: HEIGHT as u32,
        layout: "NCHW".into(),
        color: "RGB".into(),
        resize: "stretch-bilinear-antialiased".into(),
        mean: [127.0, 120.0, 100.0],
        std: [128.0, 100.0, 60.0],
    }
}

fn pictures() -> Vec<Picture> {
    let picture =
        |seed: usize| (0..3 * HEIGHT * WIDTH).map(move |it| ((it * 37 + seed * 91) * (it + 5) % 251) as u8);
    (0..2).map(|seed| Picture(picture(seed).collect())).collect()
}

fn onnx(graph: Graph) -> Vec<u8> {
    let opset_import = vec![Opset { domain: String::new(), version: 17 }];
    Model { ir_version: 9, graph: Some(graph), opset_import, ..Model::default() }.encode_to_vec()
}

#[test]
fn it_says_what_onnx_runtime_says_and_so_does_what_it_writes() {
    let runtime = Runtime::of_the_clone();
    let mut graph = graph();
    let (network, mut parameters) = Network::read(&graph, HEIGHT, WIDTH).unwrap();
    let (input, pictures) = (input(), pictures());
    for change in [0.0, 0.02] {
        parameters.iter_mut().enumerate().for_each(|(number, it)| *it += change * (number as f32).cos());
        network.write(&parameters, &mut graph);
        assert_eq!(Network::read(&graph, HEIGHT, WIDTH).unwrap().1, parameters);
        let mut session =
            Session::of(&runtime, &onnx(graph.clone()), &input, "features", FEATURES, 2).unwrap();
        let expected = session.infer(&pictures.iter().collect::<Vec<_>>()).unwrap().concat();
        let numbers = pictures.iter().flat_map(|picture| normalised(picture, &input)).collect();
        let values = network.forward(&parameters, numbers);
        assert_eq!((values.features().len(), network.features()), (2 * FEATURES, FEATURES));
        for (says, should) in values.features().iter().zip(&expected) {
            assert!(
                (says - should).abs() < 1e-4 * should.abs().max(1.0),
                "{:?} and {expected:?}",
                values.features()
            );
        }
        assert!(expected.iter().filter(|it| **it > 0.01).count() > 3, "{expected:?} say nothing");
    }
}

#[test]
fn what_is_learned_from_is_what_is_served() {
    let runtime = Runtime::of_the_clone();
    let (input, pictures, numbers) = (input(), pictures(), 3 * HEIGHT * WIDTH);
    // A graph that says its input.
    let graph = Graph {
        node: vec![node("Flatten", &["image"], "numbers", vec![])],
        name: "nothing".into(),
        initializer: vec![],
        input: vec![value("image", &[3, HEIGHT, WIDTH])],
        output: vec![value("numbers", &[numbers])],
    };
    let mut session = Session::of(&runtime, &onnx(graph), &input, "numbers", numbers, 2).unwrap();
    let served = session.infer(&pictures.iter().collect::<Vec<_>>()).unwrap();
    for (picture, served) in pictures.iter().zip(served) {
        let channels: Vec<_> = served.chunks_exact(HEIGHT * WIDTH).collect();
        let by_pixel = (0..HEIGHT * WIDTH).flat_map(|pixel| channels.iter().map(move |it| it[pixel]));
        assert!(normalised(picture, &input).into_iter().eq(by_pixel), "to the bit");
    }
}

#[test]
fn the_gradient_is_the_slope() {
    let (network, parameters) = Network::read(&graph(), HEIGHT, WIDTH).unwrap();
    let numbers: Vec<_> = pictures().iter().flat_map(|picture| normalised(picture, &input())).collect();
    let errors: Vec<_> = (0..2 * FEATURES).map(|number| (number as f32 * 2.3).cos()).collect();
    let loss = |parameters: &[f32]| -> f64 {
        let values = network.forward(parameters, numbers.clone());
        values.features().iter().zip(&errors).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
    };
    let mut gradient = vec![0.0; parameters.len()];
    network.backward(
        &parameters,
        network.forward(&parameters, numbers.clone()),
        errors.clone(),
        &mut gradient,
    );
    let (mut wrong, mut steep) = (0, 0);
    for place in 0..parameters.len() {
        let step = 1e-3;
        let at = |by: f32| {
            let mut moved = parameters.clone();
            moved[place] += by;
            loss(&moved)
        };
        let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
        // Where a pixel is about to be clipped, there are two slopes.
        let is_right = (slope - f64::from(gradient[place])).abs() < 2e-2 * slope.abs().max(0.5);
        wrong += usize::from(!is_right);
        steep += usize::from(slope.abs() > 0.1);
    }
    assert!(wrong * 50 < parameters.len() && steep * 2 > parameters.len(), "{wrong} wrong, {steep} steep");
}

#[test]
fn what_can_t_be_learned_is_refused() {
    let refused = |change: &dyn Fn(&mut Graph)| {
        let mut graph = graph();
        change(&mut graph);
        Network::read(&graph, HEIGHT, WIDTH).unwrap_err()
    };
    assert!(refused(&|it| it.node[0].op_type = "ConvTranspose".into()).contains("can't be learned"));
    assert!(refused(&|it| it.node[4].attribute[0].i = 2).contains("groups"));
    assert!(refused(&|it| it.node[0].attribute.push(attribute("dilations", &[2, 2]))).contains("dilated"));
    assert!(refused(&|it| it.node[2].input[1] = "computed".into()).contains("computed"));
    assert!(refused(&|it| it.initializer[2].raw_data.truncate(8)).contains("numbers, not"));
    assert!(refused(&|it| it.node[7].input[1] = "b".into()).contains("one size"));
    assert!(refused(&|it| it.node[7].input[1] = "expand".into()).contains("nowhere else"));
    assert!(refused(&|it| it.node[14].input[1] = "b".into()).contains("one size"));
    assert!(refused(&|it| it.node[14].attribute[0].i = 2).contains("the channels"));
    // One pixel is left there, and it is no mean.
    assert!(refused(&|it| it.node.truncate(11)).contains("means or maxima over all pixels"));
    assert!(refused(&|it| it.node[14].input[1] = "d".into()).contains("means or maxima over all pixels"));
}
