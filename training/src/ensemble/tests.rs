use autorma_models::{File, handmade};
use autorma_schemas::sha256;

use super::*;

/// A model in a folder of its own, after a change of its manifest.
fn component(onnx: Vec<u8>, weight: f64, change: impl FnOnce(&mut Manifest)) -> Component {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    handmade::write(&folder, "model", &onnx).unwrap();
    let mut model = Model::open(&folder).unwrap();
    change(&mut model.manifest);
    Component { called: "first".into(), model, reference: None, weight }
}

fn refused(components: &[Component]) -> String {
    Ensemble::of(components).unwrap_err().to_string()
}

#[test]
fn an_ensemble_has_all_members_and_its_decisions_are_its_own() {
    let components = [
        component(handmade::means(), 3.0, |_| ()),
        component(handmade::negatives(), 1.0, |it| (it.licence, it.version) = ("MIT".into(), "8".into())),
    ];
    let mut ensemble = Ensemble::of(&components).unwrap();
    assert_eq!(ensemble.model.onnx, [handmade::means(), handmade::negatives()]);
    assert!(ensemble.reference.is_none());
    // Of a hundred photos the surest fifty are right and others are as sure as wrong.
    let judged = (0..100_u8).map(|number| {
        let logits = vec![f32::from(number) / 10.0, 0.0, 0.0];
        let label = if number % 2 == 0 || number > 50 { Label::Class(0) } else { Label::Class(1) };
        let verdict = ensemble.model.manifest.decide(&logits).unwrap();
        (number.to_string().into(), Ok(Judged { label, verdict, logits }))
    });
    let judgement = Judgement { judged: judged.collect(), seconds: 1.0, threads: 1 };
    ensemble.calibrate(&judgement, &Targets { wrong: 0.05, ..Targets::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    ensemble.write(&folder.path().join("made")).unwrap();
    let made = Model::open(&folder.path().join("made")).unwrap().manifest;
    assert_eq!(
        (made.shares(), &*made.version, &*made.licence),
        (vec![0.75, 0.25], "7+8", "Apache-2.0 AND MIT")
    );
    assert!(made.temperature != 1.0 && made.thresholds.accept < 1.0, "{made:?}");
    assert_eq!(made.origin["temperature and thresholds"], "by 100 photos of the classes and 0 of none");
    assert!(made.origin["member 2"].starts_with("model 8, sha-256 "), "{:?}", made.origin);
    assert!(made.metrics.is_empty());
    // What is there is left alone, even its likeness.
    assert!(matches!(ensemble.write(&folder.path().join("made")), Err(Error::Taken(_))));
    fs::create_dir(folder.path().join("empty")).unwrap();
    ensemble.write(&folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("file"), "no folder").unwrap();
    assert!(matches!(ensemble.write(&folder.path().join("file")), Err(Error::File { .. })));
    let nothing = Judgement { judged: vec![("0".into(), Err("broken".into()))], ..judgement };
    assert!(matches!(ensemble.calibrate(&nothing, &Targets::default()), Err(Error::TooLittle(_))));
}

#[test]
fn members_of_an_ensemble_share_its_weight_and_bring_their_references() {
    let pair = [component(handmade::means(), 1.0, |_| ()), component(handmade::negatives(), 3.0, |_| ())];
    let pair = Ensemble::of(&pair).unwrap().model;
    let floats = b"floats".to_vec();
    let mut quantized = component(handmade::fussy(), 1.0, |it| {
        let (file, bytes) = ("floats.onnx".to_owned(), floats.len() as u64);
        let reference = File { file, sha256: sha256(&floats), bytes, precision: "fp32".into() };
        it.members[0].reference = Some(reference);
    });
    let manifest = quantized.model.manifest.of_reference().unwrap();
    quantized.reference = Some(Model { manifest, onnx: vec![floats.clone()] });
    let pair = Component { called: "pair".into(), model: pair, reference: None, weight: 1.0 };
    let both = [pair, quantized];
    let Ensemble { model, reference } = Ensemble::of(&both).unwrap();
    assert_eq!(model.manifest.shares(), [0.125, 0.375, 0.5]);
    assert_eq!(model.onnx, [handmade::means(), handmade::negatives(), handmade::fussy()]);
    let reference = reference.unwrap();
    assert_eq!(reference.onnx, [handmade::means(), handmade::negatives(), floats]);
    assert_eq!(reference.manifest.members[2].model.sha256, sha256(b"floats"));
}

#[test]
fn what_can_t_be_asked_together_is_refused() {
    let first = || component(handmade::means(), 1.0, |_| ());
    let with = |change: fn(&mut Manifest)| {
        let second = component(handmade::negatives(), 1.0, change);
        [first(), Component { called: "second".into(), ..second }]
    };
    for (components, expected) in [
        (with(|it| it.input.width = 9), "second takes other pictures than first"),
        (with(|it| it.classes.reverse()), "knows other classes"),
        (with(|it| it.output.unknown = vec!["hats".into()]), "has other outputs"),
        ([first(), first()], "a file is listed twice"),
        ([first(), component(handmade::negatives(), f64::NAN, |_| ())], "weight must be above 0"),
    ] {
        let error = refused(&components);
        assert!(error.contains(expected), "{expected:?} isn't in {error}");
    }
    assert!(refused(&[]).contains("there is no model"));
}
