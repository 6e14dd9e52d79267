use serde::Serialize;

use crate::Share;

/// Both errors of a threshold for unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UnknownErrors {
    /// The threshold.
    pub threshold: f64,
    /// The share of photos of the classes that are called unknown; 0 of none.
    pub refused: f64,
    /// The share of photos of none of the classes that are not; 0 of none.
    pub missed: f64,
}

/// The places of a curve.
const PLACES: u32 = 200;

impl UnknownErrors {
    /// At thresholds from 0 to 1, evenly. `known` and `strangers` are the probabilities of being none of the classes that
    /// photos of the classes have, and photos of none.
    pub fn curve(known: &[f64], strangers: &[f64]) -> Vec<Self> {
        let errors = |place: u32| {
            let threshold = f64::from(place) / f64::from(PLACES);
            Self {
                threshold,
                refused: Share::count(known, |unknown| *unknown >= threshold).share,
                missed: Share::count(strangers, |unknown| *unknown < threshold).share,
            }
        };
        (0..=PLACES).map(errors).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_refuses_what_is_at_it_and_misses_what_is_below() {
        let curve = UnknownErrors::curve(&[0.1, 0.2, 0.5, 0.9], &[0.5, 0.8]);
        let at = |place: usize| (curve[place].threshold, curve[place].refused, curve[place].missed);
        assert_eq!((at(0), at(200)), ((0.0, 1.0, 0.0), (1.0, 0.0, 1.0)));
        assert_eq!((at(100), at(101)), ((0.5, 0.5, 0.0), (0.505, 0.25, 0.5)));
        assert_eq!(UnknownErrors::curve(&[0.5], &[])[200].missed, 0.0);
    }
}
