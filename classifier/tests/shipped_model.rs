//! The shipped model on real photographs.

mod shared;

use autorma_classifier::{AT_ONCE, Picture, Session};
use autorma_models::{Model, handmade};
use shared::{data, decoder, model, runtime, test_photos};

#[test]
fn an_image_s_logits_don_t_depend_on_its_neighbours() {
    let Some(data) = data() else { return };
    let model = model();
    let mut decoder = decoder(&model);
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    assert_eq!(session.at_once(), AT_ONCE, "it needn't be asked one by one");
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

#[test]
fn a_model_whose_numbers_depend_on_the_neighbours_is_asked_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("sociable");
    handmade::write(&folder, "sociable", &handmade::sociable()).unwrap();
    let model = Model::open(&folder).unwrap();
    let mut session = Session::load(runtime(), &model, AT_ONCE).unwrap();
    assert_eq!(session.at_once(), 1);
    let pictures =
        [50, 150, 250].map(|light| Picture(vec![light; 3 * (handmade::SIDE * handmade::SIDE) as usize]));
    let alone = pictures.each_ref().map(|picture| session.infer(&[picture]).unwrap().remove(0));
    assert_eq!(session.infer(&pictures.each_ref()).unwrap(), alone);
}
