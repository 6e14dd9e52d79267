//! The shipped model on real photographs.

mod shared;

use autorma_classifier::{AT_ONCE, Picture, Session};
use shared::{data, decoder, model, runtime, test_photos};

#[test]
fn the_shipped_model_classifies_the_test_photos() {
    let Some(data) = data() else { return };
    let model = model();
    let mut decoder = decoder(&model);
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    let photos = test_photos(&data);
    let right = photos.iter().filter(|(path, label)| {
        let picture = decoder.decode(&std::fs::read(path).unwrap()).unwrap();
        let logits = session.infer(&[&picture]).unwrap().remove(0);
        model.manifest.decide(&logits).unwrap().predicted_class == **label
    });
    let (right, all) = (right.count(), photos.len());
    assert_eq!(all, 354);
    assert!(right as f64 / all as f64 >= 0.985, "{right} of {all}");
}

#[test]
fn an_image_s_logits_don_t_depend_on_its_neighbours() {
    let Some(data) = data() else { return };
    let model = model();
    let mut decoder = decoder(&model);
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    let pictures: Vec<Picture> = test_photos(&data)
        .iter()
        .step_by(25)
        .map(|(path, _)| decoder.decode(&std::fs::read(path).unwrap()).unwrap())
        .collect();
    let alone: Vec<_> = pictures.iter().map(|picture| session.infer(&[picture]).unwrap().remove(0)).collect();
    for size in 2..=10 {
        let batch: Vec<_> = pictures.iter().take(size).collect();
        assert_eq!(session.infer(&batch).unwrap(), alone[..size], "in a micro-batch of {size}");
    }
}
