use std::fs;
use std::sync::OnceLock;

use autorma_classifier::{Limits, Picture, Runtime};
use autorma_models::handmade::{self, SIDE};

use super::plan::Step;
use super::*;
use crate::contents::Contents;
use crate::onnx::{Graph, Node, Number, Tensor};
use crate::photos::Photos;
use crate::{Folders, Recipe};

const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1_000_000, memory: 16 << 20 };
/// Features of the network that is quantized here.
const FEATURES: usize = 12;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(Runtime::of_the_clone)
}

fn of(nodes: Vec<Node>, initializer: Vec<Tensor>) -> Backbone {
    let backbone = Backbone::parse(handmade::backbone()).unwrap();
    let graph = Graph { node: nodes, initializer, ..backbone.graph() };
    backbone.with_graph(graph).unwrap()
}

/// Weights of both signs, four times as large for some outputs as for others, and as large in all as keeps numbers in
/// their range.
fn weights(name: &str, outputs: usize, inputs: usize, kernel: usize) -> Tensor {
    let each = inputs * kernel * kernel;
    let size = |output: usize| (output % 4 + 1) as f32 / (each as f32).sqrt();
    let weight = |number: usize| (number as f32 * 1.7).sin() * size(number / each);
    Tensor::floats(name, &[outputs, inputs, kernel, kernel], (0..outputs * each).map(weight))
}

fn biases(name: &str, outputs: usize) -> Tensor {
    Tensor::floats(name, &[outputs], (0..outputs).map(|number| (number as f32).cos() / 4.0))
}

/// What EfficientNet-Lite is made of: bounded convolutions, one of each channel alone, one that isn't bounded, and a sum.
fn inverted_residual() -> Backbone {
    let bounded = |from: &str, to: &str| Node::of("Clip", &[from, "zero", "six"], to);
    let pads = Number::List(&[1, 1, 1, 1]);
    let nodes = vec![
        Node::of("Conv", &["image", "stem.w", "stem.b"], "stem").with("pads", pads),
        bounded("stem", "stem.bounded"),
        Node::of("Conv", &["stem.bounded", "each.w", "each.b"], "each")
            .with("pads", pads)
            .with("group", Number::One(12)),
        bounded("each", "each.bounded"),
        Node::of("Conv", &["each.bounded", "project.w", "project.b"], "project"),
        Node::of("Add", &["project", "stem.bounded"], "sum"),
        Node::of("GlobalAveragePool", &["sum"], "features"),
    ];
    let constant = |name, value| Tensor::floats(name, &[], [value].into_iter());
    let tensors = vec![
        constant("zero", 0.0),
        constant("six", 6.0),
        weights("stem.w", FEATURES, 3, 3),
        biases("stem.b", FEATURES),
        weights("each.w", FEATURES, 1, 3),
        biases("each.b", FEATURES),
        weights("project.w", FEATURES, FEATURES, 1),
        biases("project.b", FEATURES),
    ];
    of(nodes, tensors)
}

/// Colours of all kinds, white and black among them.
fn colours() -> impl Iterator<Item = [u8; 3]> {
    let some = (0..64_u32).map(|number| [number * 97, number * 41 + 13, number * 193 + 7]);
    some.map(|colour| colour.map(|value| value as u8)).chain([[255; 3], [0; 3]])
}

fn quantized(backbone: &Backbone) -> Result<Backbone, Error> {
    let root = tempfile::tempdir().unwrap();
    for (number, colour) in colours().enumerate() {
        let class = root.path().join(["shirts", "tops"][number % 2]);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{number}.bmp")), handmade::picture(colour)).unwrap();
    }
    let machine = Machine { runtime: runtime(), limits: LIMITS, threads: 2 };
    let folders = Folders { data: vec![root.path().into()], ..Folders::default() };
    let photos = Photos::find(&folders, &root.path().join("run")).unwrap();
    let contents = Contents::read(&photos, LIMITS, 2, &mut |_| true).unwrap();
    let recipe = Recipe::default();
    let views = Views::prepare(&photos, &contents, backbone, &recipe, machine, &mut |_| true).unwrap();
    quantize(backbone, &views, machine, &mut |_| true).map(|quantized| quantized.backbone)
}

/// What it says of a picture of one colour.
fn features(backbone: &Backbone, colour: [u8; 3]) -> Vec<f32> {
    let Backbone { onnx, input, features, .. } = backbone;
    let mut session = Session::of(runtime(), onnx, input, Backbone::FEATURES, *features, 1).unwrap();
    let picture = Picture(colour.repeat((SIDE * SIDE) as usize));
    session.infer(&[&picture]).unwrap().remove(0)
}

#[test]
fn what_is_computed_on_bytes_is_what_floats_say_but_for_the_steps_between_bytes() {
    let floats = inverted_residual();
    let bytes = quantized(&floats).unwrap();
    let operators: Vec<_> = bytes.graph().node.iter().map(|node| node.op_type.clone()).collect();
    assert!(!operators.contains(&"Clip".to_owned()), "{operators:?}");
    assert!(!bytes.graph().initializer.iter().any(|tensor| tensor.name == "stem.w"), "it has both");
    near(&floats, &bytes);
}

/// What bytes say of every colour is within 3 % of the largest number that floats say.
#[track_caller]
fn near(floats: &Backbone, bytes: &Backbone) {
    let said: Vec<_> = colours().map(|colour| (features(floats, colour), features(bytes, colour))).collect();
    let most = said.iter().flat_map(|(floats, _)| floats).fold(0.0_f32, |most, it| most.max(it.abs()));
    let away = said.iter().flat_map(|(floats, bytes)| floats.iter().zip(bytes)).map(|(a, b)| (a - b).abs());
    let away = away.fold(0.0, f32::max);
    assert!(most > 0.1 && away <= 0.03 * most, "{away} of {most}");
}

#[test]
fn the_largest_bytes_and_weights_are_added_up_right_by_every_processor() {
    let sizes = [FEATURES, 3, 3, 3];
    let sign = |number: usize| if (number / 27).is_multiple_of(2) { 1.0 } else { -1.0 };
    let weights = Tensor::floats("w", &sizes, (0..FEATURES * 27).map(sign));
    let nodes = vec![
        Node::of("Conv", &["image", "w"], "convolved"),
        Node::of("GlobalAveragePool", &["convolved"], "features"),
    ];
    let bytes = quantized(&of(nodes, vec![weights])).unwrap();
    // 27 products of the largest byte and the largest weight, of either sign.
    let white = features(&bytes, [255; 3]);
    let right = |(number, feature): (usize, &f32)| (feature - 27.0 * sign(number * 27)).abs() < 0.15;
    assert!(white.iter().enumerate().all(right), "{white:?}");
}

#[test]
fn what_bytes_can_t_do_stays_in_floats() {
    let nodes = |first: &str| {
        vec![
            Node::of("Conv", &["image", "a"], "first"),
            Node::of("Sigmoid", &["first"], "curved"),
            Node::of(first, &["curved", "b"], "features.wide"),
            Node::of("GlobalAveragePool", &["features.wide"], "features"),
        ]
    };
    let tensors = || vec![weights("a", FEATURES, 3, 3), weights("b", FEATURES, FEATURES, 1)];
    let floats = of(nodes("Conv"), tensors());
    let plan = Plan::of(&floats.graph());
    let bytes = |name: &str| Step::Bytes(name.into());
    assert_eq!(plan.steps, [bytes("first"), Step::Float, bytes("features.wide"), Step::Float]);
    assert_eq!(plan.tensors, ["image", "first", "curved", "features.wide"]);
    let bytes = quantized(&floats).unwrap();
    near(&floats, &bytes);
}

#[test]
fn a_backbone_that_has_nothing_to_quantize_is_refused_and_told_what_to_do() {
    let refused = |backbone: &Backbone| quantized(backbone).unwrap_err().to_string();
    let nothing = of(vec![Node::of("GlobalAveragePool", &["image"], "features")], Vec::new());
    assert!(refused(&nothing).contains("no convolution"), "{}", refused(&nothing));
    assert!(refused(&nothing).contains("`precision = \"fp32\"`"));
    let nan = Tensor::floats("w", &[FEATURES, 3, 1, 1], std::iter::repeat_n(f32::NAN, FEATURES * 3));
    let nodes = vec![
        Node::of("Conv", &["image", "w"], "convolved"),
        Node::of("GlobalAveragePool", &["convolved"], "features"),
    ];
    assert!(refused(&of(nodes, vec![nan])).contains("can't be quantized"));
}
