use autorma_models::registry::FolderRegistry;

use super::*;

#[test]
fn a_number_that_was_gone_is_another_version_when_it_comes_again() {
    let (name, alias) = ("means".to_owned(), "production".to_owned());
    let version = ModelVersion { name: name.clone(), version: "1".into(), sha256: "ab".repeat(32) };
    let reference = Reference { name: name.clone(), which: Which::Alias(alias.clone()) };
    let registry = Arc::new(FolderRegistry::new("registry"));
    let mut follower = Follower::new(registry, reference, Seat::Arm(0));
    follower.serving = Some((1, version.clone()));
    let away = RegistryError::Away { server: "http://registry".into(), cause: "nobody is there".into() };
    for named in [Ok(1), Err(away)] {
        follower.forget_if_gone(&named);
        assert!(follower.is_serving(1), "{named:?} says nothing of another version");
    }
    follower.refused = Some((2, Instant::now()));
    follower.forget_if_gone(&Err(RegistryError::NoAlias { name, alias }));
    assert!(!follower.is_serving(1) && follower.refused.is_none());
    assert_eq!(follower.serving, Some((1, version)), "it goes on until there is another one");
}
