//! What the gate asks of each class: one may be lost while the others make up for it.

use autorma_evaluation::ClassFigures;

use super::check::{Check, Figure};

/// Of a class that nothing was found out about, the version may have lost everything.
pub(super) fn judged_of_each(classes: &[ClassFigures]) -> Check {
    let without = classes.iter().filter(|class| class.recall.of == 0).count();
    Check::at_most("classes without a photo judged", Figure::count(without), 0.0, "0")
}

/// None is found less often than by what serves. Chance, which can do much where photos are few, loses none.
pub(super) fn lost(now: &[ClassFigures], before: &[ClassFigures], margin: f64) -> Check {
    let is_lost = |(now, before): &(&ClassFigures, &ClassFigures)| {
        let [now, before] = [now.recall, before.recall];
        // That nothing was found out about it is told already.
        now.of > 0 && now.share < before.low && now.share * 100.0 < before.share * 100.0 - margin - 1e-9
    };
    let lost: Vec<_> = now.iter().zip(before).filter(is_lost).map(|(now, _)| now.class.as_str()).collect();
    let wanted = format!("none by more than {margin} points and below its 95 % interval");
    none("classes found less often", &lost, wanted)
}

/// None is found less often than all of them should be, as far as that isn't chance.
pub(super) fn hardly_found(classes: &[ClassFigures], accuracy: f64) -> Check {
    let is_hardly = |class: &&ClassFigures| class.recall.high * 100.0 < accuracy - 1e-9;
    let hardly: Vec<_> = classes.iter().filter(is_hardly).map(|class| class.class.as_str()).collect();
    let wanted = format!("none whose 95 % interval ends below {accuracy} %");
    none("classes hardly found", &hardly, wanted)
}

fn none(what: &'static str, classes: &[&str], wanted: String) -> Check {
    let found = if classes.is_empty() { "none".to_owned() } else { classes.join(", ") };
    Check::said(what, found, wanted, classes.is_empty())
}

#[cfg(test)]
mod tests {
    use autorma_evaluation::Share;

    use super::*;

    fn class(name: &str, hits: usize, of: usize) -> ClassFigures {
        let (precision, recall) = (Share::of(1, 1), Share::of(hits, of));
        ClassFigures { class: name.into(), precision, recall, f1: None }
    }

    #[test]
    fn a_class_that_is_found_less_often_than_chance_explains_is_lost_whatever_the_others_are() {
        let check = |[now, before]: [usize; 2], of: usize, margin: f64| {
            let of_both = |hits: usize| [class("tops", 1000, 1000), class("shirts", hits, of)];
            lost(&of_both(now), &of_both(before), margin)
        };
        assert!(check([1, 2], 2, 0.5).passed && check([95, 98], 100, 0.5).passed, "by chance");
        assert!(check([98, 95], 100, 0.5).passed);
        for hits in [0, 90] {
            let lost = check([hits, 98], 100, 0.5);
            assert_eq!((lost.passed, &*lost.found), (false, "shirts"), "{hits}");
        }
        assert!(check([90, 98], 100, 8.0).passed, "somebody wants it so");
    }

    #[test]
    fn a_class_that_is_never_found_or_seldom_is_told_whatever_the_others_are() {
        let check = |hits: usize, of: usize, accuracy: f64| {
            hardly_found(&[class("tops", 1000, 1000), class("shirts", hits, of)], accuracy)
        };
        for (hits, of) in [(0, 1), (0, 100), (70, 100)] {
            let hardly = check(hits, of, 80.0);
            assert_eq!((hardly.passed, &*hardly.found), (false, "shirts"), "{hits} of {of}");
            assert!(check(hits, of, 0.0).passed, "somebody wants it so");
        }
        assert!(check(1, 2, 80.0).passed && check(75, 100, 80.0).passed, "by chance");
        assert!(check(0, 0, 80.0).passed, "that there is no photo of it is told already");
    }
}
