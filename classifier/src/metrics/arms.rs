//! Who computes, and how their figures compare.

use autorma_models::Manifest;
use autorma_schemas::{Agreement, Decision, ModelVersion, Prediction};

use super::Metrics;
use crate::Config;
use crate::swapping::Seat;

impl Metrics {
    /// Nobody computes yet. A counter that has never counted is 0, not missing.
    pub(crate) fn begin(&self, config: &Config) {
        self.model.reset();
        self.shadow_info.reset();
        self.behind.lock().clear();
        for flag in [&self.model_behind, &self.shadow_behind] {
            flag.set(0);
        }
        for (arm, _) in config.split.arms() {
            for decision in Decision::ALL {
                self.arm_predictions.with_label_values(&[arm, decision.as_str()]).inc_by(0);
            }
        }
        if config.shadow.is_some() {
            Agreement::ALL
                .iter()
                .for_each(|agreement| self.shadow.with_label_values(&[agreement.as_str()]).inc_by(0));
        }
    }

    /// Whether something other than what is named has the seat. All arms have one flag.
    pub(crate) fn set_behind(&self, seat: Seat, is_behind: bool) {
        let mut behind = self.behind.lock();
        if is_behind {
            behind.insert(seat);
        } else {
            behind.remove(&seat);
        }
        let is_shadow_behind = behind.contains(&Seat::Shadow);
        self.shadow_behind.set(is_shadow_behind.into());
        self.model_behind.set((behind.len() > usize::from(is_shadow_behind)).into());
    }

    /// A version has taken a seat, maybe another one's.
    pub(crate) fn seated(
        &self,
        (seat, arm): (Seat, Option<&str>),
        former: Option<&ModelVersion>,
        version: &ModelVersion,
        manifest: &Manifest,
    ) {
        let labels = |it: &ModelVersion| [it.name.clone(), it.version.clone(), it.sha256.clone()];
        let with_arm = |it| labels(it).into_iter().chain([arm.unwrap_or_default().to_owned()]);
        match seat {
            Seat::Arm(_) => {
                // Where it was never told, there is nothing to remove.
                let former = former.map(|it| with_arm(it).collect::<Vec<_>>());
                former.into_iter().for_each(|labels| drop(self.model.remove_label_values(&labels)));
                self.model.with_label_values(&with_arm(version).collect::<Vec<_>>()).set(1);
            }
            Seat::Shadow => {
                self.shadow_info.reset();
                self.shadow_info.with_label_values(&labels(version)).set(1);
                return;
            }
        }
        for class in &manifest.classes {
            for decision in Decision::ALL {
                self.predictions.with_label_values(&[class.as_str(), decision.as_str()]).inc_by(0);
            }
        }
    }

    /// A prediction of an arm, or beside a shadow.
    pub(super) fn compared(&self, it: &Prediction) {
        if let Some(arm) = &it.arm {
            self.arm_predictions.with_label_values(&[arm.as_str(), it.decision.as_str()]).inc();
            self.arm_confidence.with_label_values(&[arm.as_str()]).observe(it.confidence);
        }
        if let Some(shadow) = &it.shadow {
            let agreement = shadow.agreement((&it.predicted_class, it.decision));
            self.shadow.with_label_values(&[agreement.as_str()]).inc();
        }
    }
}
