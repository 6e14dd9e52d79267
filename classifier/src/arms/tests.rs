use autorma_models::registry::Location;
use autorma_schemas::sha256;
use autorma_service::settings::Settings;
use proptest::prelude::*;

use super::*;

fn split<const ARMS: usize>(shares: [(&str, u32); ARMS]) -> Split {
    Split::new(shares.into_iter().map(|(alias, share)| (alias.to_owned(), share)).collect())
}

/// The hash at a place between 0 and 1.
fn at(place: f64) -> String {
    format!("{:016x}{}", (place * 2f64.powi(64)) as u64, "0".repeat(48))
}

/// Written down once: an image that has gone to one arm must not go to another because of a new version of autorma.
#[test]
fn these_images_have_these_arms() {
    let split = split([("production", 90), ("staging", 10)]);
    let arms: Vec<_> =
        (0..20).map(|number| split.arm(&sha256(format!("photo {number}").as_bytes()))).collect();
    let staging: Vec<_> = (0..20).filter(|number| arms[*number] == 1).collect();
    assert_eq!(staging, [4, 11]);
    assert_eq!((split.arm(&at(0.0)), split.arm(&at(0.899_999)), split.arm(&at(0.900_001))), (0, 0, 1));
    assert_eq!(split.arm(&"f".repeat(64)), 1);
}

#[test]
fn without_arms_there_is_nothing_to_split() {
    for none in [Split::default(), split([("production", 0)])] {
        assert!(none.is_empty());
        assert_eq!((none.arm(&"f".repeat(64)), none.name(0)), (0, None));
        assert_eq!(none.parts(vec![1, 2], |_| "00").into_iter().collect::<Vec<_>>(), [(0, vec![1, 2])]);
    }
    assert_eq!(split([("a", 0), ("b", 1)]).arms().collect::<Vec<_>>(), [("b", 1)]);
}

proptest! {
    /// Images are as many as the shares say, within six standard deviations, and ten for the smallest shares.
    #[test]
    fn shares_are_kept(shares in prop::collection::vec(1u32..100, 1..5), seed: u64) {
        const IMAGES: usize = 4000;
        let names = ["a", "b", "c", "d"];
        let split = Split::new(names.map(String::from).into_iter().zip(shares.clone()).collect());
        let mut counts = vec![0_usize; shares.len()];
        for number in 0..IMAGES {
            counts[split.arm(&sha256(format!("{seed} {number}").as_bytes()))] += 1;
        }
        let sum: u32 = shares.iter().sum();
        for (count, share) in counts.into_iter().zip(shares) {
            let share = f64::from(share) / f64::from(sum);
            let deviation = (IMAGES as f64 * share * (1.0 - share)).sqrt();
            prop_assert!((count as f64 - IMAGES as f64 * share).abs() <= 6.0 * deviation + 10.0, "{count} of {share}");
        }
    }

    /// Only content decides: neither the case of the hash, nor what else is in the micro-batch, nor the scale of shares.
    #[test]
    fn nothing_else_decides(images in prop::collection::vec(any::<[u8; 8]>(), 1..30), one in 1u32..100, other in 1u32..100) {
        let hashes: Vec<_> = images.iter().map(|bytes| sha256(bytes)).collect();
        let split_so = split([("production", one), ("staging", other)]);
        let scaled = split([("production", one * 7), ("staging", other * 7)]);
        let parts = split_so.parts(hashes.clone(), |hash| hash);
        for hash in &hashes {
            let arm = split_so.arm(hash);
            prop_assert_eq!(arm, scaled.arm(hash));
            prop_assert_eq!(arm, split_so.arm(&hash.to_uppercase()));
            prop_assert!(parts[&arm].contains(hash));
        }
        prop_assert_eq!(parts.values().map(Vec::len).sum::<usize>(), hashes.len());
    }

    /// A larger share takes images, and gives none away.
    #[test]
    fn a_share_that_grows_moves_only_what_it_must(place in 0.0..1.0f64, less in 0u32..=100, more in 0u32..=100) {
        let (less, more) = (less.min(more), less.max(more));
        let is_staging = |share| {
            let split = split([("production", 100 - share), ("staging", share)]);
            split.name(split.arm(&at(place))) == Some("staging")
        };
        prop_assert!(!is_staging(less) || is_staging(more));
    }
}

#[test]
fn settings_that_contradict_each_other_are_told() {
    let cast = |model: &str, split: Split, shadow: Option<&str>| {
        let mut config = Config::read(&mut Settings::default(), Location::Folder("registry".into()));
        (config.model, config.split, config.shadow) =
            (Source::meant(model), split, shadow.map(str::to_owned));
        Cast::of(&config).map_err(|error| error.to_string())
    };
    let both = || split([("production", 1), ("staging", 1)]);
    let sources = |all: &[&str]| all.iter().map(|it| Source::meant(it)).collect::<Vec<_>>();
    let found = cast("m@production", both(), Some("next")).unwrap();
    assert_eq!(found.arms, sources(&["m@production", "m@staging"]));
    assert_eq!(found.shadow.unwrap().to_string(), "m@next");
    assert_eq!(cast("m/3", Split::default(), Some("next")).unwrap().arms, sources(&["m/3"]));
    assert_eq!(cast("a/b/c", Split::default(), None).unwrap().arms, sources(&["a/b/c"]));
    for (model, split, shadow, expected) in [
        ("a/b/c", Split::default(), Some("next"), "classifier.model is the folder a/b/c"),
        ("a/b/c", both(), None, "classifier.model is the folder a/b/c"),
        ("m/3", both(), None, "no share for m/3"),
        ("m@next", both(), None, "no share for m@next"),
        ("m@production", both(), Some("staging"), "publishes already"),
        ("m@production", Split::default(), Some("production"), "publishes already"),
    ] {
        let told = cast(model, split, shadow).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}
