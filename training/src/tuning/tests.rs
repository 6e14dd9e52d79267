//! What a network says is what ONNX Runtime says, and its slopes are slopes.

use autorma_classifier::{Picture, Runtime, Session};
use autorma_models::Input;
use prost::Message;

use super::network::Network;
use super::normalised;
use crate::graph::floats;
use crate::onnx::Number::{List, One};
use crate::onnx::{Graph, Model, Node, Opset, Tensor};

const HEIGHT: usize = 9;
const WIDTH: usize = 8;
/// Of the last convolution.
const TOP: usize = 6;
/// Its means, and the means and maxima of an earlier one.
const FEATURES: usize = TOP + 8 + 8;

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
    let padded = |node: Node, pads| node.with("pads", List(pads));
    let halved = |node: Node| node.with("strides", List(&[2, 2]));
    let node = vec![
        padded(halved(Node::of("Conv", &["image", "stem.weight", "stem.bias"], "stem")), &[0, 0, 1, 1]),
        Node::of("Clip", &["stem", "zero", "six"], "a"),
        Node::of("Conv", &["a", "expand.weight", "expand.bias"], "expand"),
        Node::of("Clip", &["expand", "zero", "six"], "b"),
        padded(
            Node::of("Conv", &["b", "depthwise.weight"], "depthwise").with("group", One(8)),
            &[1, 1, 1, 1],
        ),
        Node::of("Relu", &["depthwise"], "c"),
        Node::of("Conv", &["c", "project.weight", "project.bias"], "project"),
        Node::of("Add", &["project", "a"], "sum"),
        padded(
            halved(Node::of("Conv", &["sum", "wide.weight", "wide.bias"], "wide").with("group", One(4))),
            &[1, 1, 2, 2],
        ),
        Node::of("Conv", &["wide", "top.weight"], "top"),
        Node::of("Relu", &["top"], "d"),
        Node::of("GlobalAveragePool", &["d"], "late"),
        Node::of("GlobalAveragePool", &["c"], "early"),
        Node::of("GlobalMaxPool", &["c"], "most"),
        Node::of("Concat", &["late", "early", "most"], "features").with("axis", One(1)),
    ];
    Graph {
        node,
        name: "all".into(),
        initializer,
        input: vec![floats("image", &[3, HEIGHT as i64, WIDTH as i64])],
        output: vec![floats("features", &[FEATURES as i64, 1, 1])],
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
        node: vec![Node::of("Flatten", &["image"], "numbers")],
        name: "nothing".into(),
        initializer: vec![],
        input: vec![floats("image", &[3, HEIGHT as i64, WIDTH as i64])],
        output: vec![floats("numbers", &[numbers as i64])],
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
    assert!(
        refused(&|it| it.node[0] = it.node[0].clone().with("dilations", List(&[2, 2]))).contains("dilated")
    );
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
