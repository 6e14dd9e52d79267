use autorma_schemas::{Agreement, Decision};
use serde::Serialize;

use crate::statistics::mcnemar;
use crate::{Judged, Judgement, Label, Share};

/// Two models on the same photos; all but `agree` counts photos of classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Both right.
    pub both: usize,
    /// Only the first.
    pub only_first: usize,
    /// Only the second.
    pub only_second: usize,
    /// Neither.
    pub neither: usize,
    /// Photos of whatever kind of which both say the same: the same decision, and the same class unless it is unknown.
    pub agree: Share,
    /// How probable it is that the two differ so much by chance: McNemar's test, exact and two-sided.
    pub p: f64,
}

impl Comparison {
    /// Photos that one of them says nothing of are left out. Both know the same classes in the same order.
    pub fn of(classes: &[String], first: &Judgement, second: &Judgement) -> Self {
        let (mut counts, mut same) = ([0; 4], Vec::new());
        for ((_, one), (_, other)) in first.judged.iter().zip(&second.judged) {
            let (Ok(one), Ok(other)) = (one, other) else { continue };
            same.push(Agreement::of(said(one), said(other)) == Agreement::Same);
            let Label::Class(class) = one.label else { continue };
            let [one, other] = [one, other].map(|it| it.verdict.predicted_class == classes[class]);
            counts[usize::from(!one) * 2 + usize::from(!other)] += 1;
        }
        let [both, only_first, only_second, neither] = counts;
        let (agree, p) = (Share::count(same, |same| same), mcnemar(only_first, only_second));
        Self { both, only_first, only_second, neither, agree, p }
    }
}

fn said(it: &Judged) -> (&str, Decision) {
    (&it.verdict.predicted_class, it.verdict.decision)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use autorma_models::Verdict;

    use super::*;

    fn judged(label: Label, class: &str, decision: Decision) -> (PathBuf, Result<Judged, String>) {
        let (confidence, unknown_probability, probabilities) = (0.9, 0.1, Vec::new());
        let predicted_class = class.into();
        let verdict = Verdict { predicted_class, confidence, probabilities, unknown_probability, decision };
        (PathBuf::new(), Ok(Judged { label, verdict, logits: Vec::new() }))
    }

    #[test]
    fn to_agree_is_to_say_the_same_of_whatever_photo() {
        use Decision::{Accept, Review, Unknown};
        let judgement = |judged| Judgement { judged, seconds: 1.0, threads: 1 };
        let failed = || (PathBuf::new(), Err("broken".to_owned()));
        let first = judgement(vec![
            judged(Label::Class(0), "a", Accept),
            judged(Label::Class(0), "a", Review),
            judged(Label::Class(1), "a", Unknown),
            judged(Label::Stranger, "b", Unknown),
            failed(),
        ]);
        let second = judgement(vec![
            judged(Label::Class(0), "a", Accept),
            judged(Label::Class(0), "b", Review),
            judged(Label::Class(1), "b", Unknown),
            judged(Label::Stranger, "b", Review),
            judged(Label::Class(0), "a", Accept),
        ]);
        let comparison = Comparison::of(&["a".into(), "b".into()], &first, &second);
        assert_eq!((comparison.agree.share, comparison.agree.of), (0.5, 4));
        let Comparison { both, only_first, only_second, neither, .. } = comparison;
        assert_eq!([both, only_first, only_second, neither], [1, 1, 1, 0]);
    }
}
