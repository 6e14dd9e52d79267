use serde::Serialize;

use crate::statistics::mcnemar;
use crate::{Judgement, Label};

/// Two models on the same photos of classes.
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
    /// How probable it is that the two differ so much by chance: McNemar's test, exact and two-sided.
    pub p: f64,
}

impl Comparison {
    /// Photos that one of them says nothing of are left out. Both know the same classes in the same order.
    pub fn of(classes: &[String], first: &Judgement, second: &Judgement) -> Self {
        let mut counts = [0; 4];
        for ((_, one), (_, other)) in first.judged.iter().zip(&second.judged) {
            let (Ok(one), Ok(other)) = (one, other) else { continue };
            let Label::Class(class) = one.label else { continue };
            let [one, other] = [one, other].map(|it| it.verdict.predicted_class == classes[class]);
            counts[usize::from(!one) * 2 + usize::from(!other)] += 1;
        }
        let [both, only_first, only_second, neither] = counts;
        Self { both, only_first, only_second, neither, p: mcnemar(only_first, only_second) }
    }
}
