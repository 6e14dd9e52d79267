use autorma_models::handmade;

use super::*;

/// A model of these bytes and its reference, if it has one.
fn model(name: &str, onnx: &[u8], floats: Option<&[u8]>) -> (Model, Option<Model>) {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("model");
    handmade::write(&place, name, onnx).unwrap();
    let mut manifest = Model::open(&place).unwrap().manifest;
    let reference = floats.map(|floats| file(format!("{name}.fp32.onnx"), floats, "fp32"));
    manifest.members = Member::only(file(format!("{name}.onnx"), onnx, "int8"), reference);
    let reference =
        manifest.of_reference().map(|manifest| Model { manifest, onnx: vec![floats.unwrap().into()] });
    (Model { manifest, onnx: vec![onnx.to_vec()] }, reference)
}

/// The folder's files, in order.
fn listed(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The hashes of the model in the folder, which is whole, and of its reference.
fn found(folder: &Path) -> (String, Option<String>) {
    let of = |it: Model| it.manifest.sha256();
    (of(Model::open(folder).unwrap()), Model::open_reference(folder).unwrap().map(of))
}

#[test]
fn whoever_is_killed_while_a_model_is_replaced_leaves_the_former_one_or_the_new_one() {
    let former = model("goods", b"former", Some(b"former floats"));
    let hashes = |(model, reference): &(Model, Option<Model>)| {
        (model.manifest.sha256(), reference.as_ref().map(|it| it.manifest.sha256()))
    };
    for new in [
        model("goods", b"new", Some(b"new floats")),
        model("goods", b"new", Some(b"former floats")),
        model("goods", b"former floats", None),
        model("other", b"former", Some(b"former floats")),
        model("goods", b"former", Some(b"former floats")),
    ] {
        let told = |folder: &Path| folder.join("CARD.md");
        let after = |killed: usize| {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &former.0, former.1.as_ref(), &[]).unwrap();
            fs::write(folder.path().join("notes.txt"), "mine").unwrap();
            fs::write(told(folder.path()), "of the former one").unwrap();
            let steps = steps(folder.path(), &new.0, new.1.as_ref(), &[told(folder.path())]).unwrap();
            for step in &steps[..killed.min(steps.len())] {
                step.take().unwrap();
            }
            (folder, steps.len())
        };
        let all = after(0).1;
        let mut states = Vec::new();
        for killed in 0..=all {
            let folder = after(killed).0;
            let state = found(folder.path());
            assert!(state == hashes(&former) || state == hashes(&new), "after {killed} of {all} steps");
            let (is_former, is_told) = (state == hashes(&former), told(folder.path()).exists());
            assert!(is_former || !is_told, "it is told of another model after {killed} of {all} steps");
            assert!(is_told || killed > 0, "before there is another model");
            states.push(state);
            // The next training comes to the same, whatever was left.
            fs::write(folder.path().join(format!("{}.tmp", "0".repeat(64))), "half").unwrap();
            write(folder.path(), &new.0, new.1.as_ref(), &[told(folder.path())]).unwrap();
            let mut expected: Vec<_> = names(&new.0.manifest).collect();
            expected.extend([MANIFEST.to_owned(), "notes.txt".to_owned()]);
            expected.sort();
            let mut there = listed(folder.path());
            if (1..all).contains(&killed) {
                // Whose these were, nobody knew any more.
                let former: Vec<_> = names(&former.0.manifest).collect();
                there.retain(|it| expected.contains(it) || !former.contains(it));
            }
            assert_eq!(there, expected, "after {killed} of {all} steps");
            assert_eq!(Model::manifest(folder.path()).unwrap(), new.0.manifest);
        }
        assert_eq!((&states[0], &states[all]), (&hashes(&former), &hashes(&new)));
    }
}

#[test]
fn a_folder_without_a_whole_model_gets_one_whatever_lies_there() {
    let (new, reference) = model("goods", b"new", Some(b"new floats"));
    for (name, content) in [(MANIFEST, "{"), ("goods.onnx", "other")] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), content).unwrap();
        write(folder.path(), &new, reference.as_ref(), &[]).unwrap();
        assert_eq!(listed(folder.path()), ["goods.fp32.onnx", "goods.onnx", "manifest.json"]);
    }
}

#[test]
fn a_manifest_that_can_t_be_written_costs_nothing_that_was_told_of_the_former_model() {
    let [(former, _), (new, _)] = [b"former", b"newest"].map(|onnx| model("goods", onnx, None));
    let folder = tempfile::tempdir().unwrap();
    let told = [folder.path().join("CARD.md")];
    write(folder.path(), &former, None, &[]).unwrap();
    fs::write(&told[0], "of the former one").unwrap();
    // In its way, as a full disk is.
    fs::create_dir(folder.path().join("manifest.tmp")).unwrap();
    write(folder.path(), &new, None, &told).unwrap_err();
    assert_eq!(found(folder.path()), (former.manifest.sha256(), None));
    assert!(told[0].exists());
}
