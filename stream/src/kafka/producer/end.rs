use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::STEP;
use crate::kafka::errors;

/// Why a producer can't be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its slot has another one.
    Fenced,
    /// Its transaction took too long.
    Expired,
}

impl End {
    /// What an error means that came after so much of a transaction's time. The cluster fences whose transaction it has
    /// undone, too: who hears that when the time is over, or would be within a step, takes it for this.
    pub(super) fn of(code: Code, elapsed: Duration, longest: Duration) -> Self {
        // Where a step is all the time, or nearly, a rival would never be told.
        let overstayed = elapsed + STEP.min(longest / 4) >= longest;
        if errors::is_fenced(code) && !overstayed { End::Fenced } else { End::Expired }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_told_however_short_transactions_are() {
        for longest in [1, 2, 10].map(Duration::from_secs) {
            assert_eq!(End::of(Code::ProducerFenced, longest / 2, longest), End::Fenced);
            assert_eq!(End::of(Code::ProducerFenced, longest * 19 / 20, longest), End::Expired);
            assert_eq!(End::of(Code::OperationTimedOut, longest / 2, longest), End::Expired);
        }
        let [nearly, longest] = [9, 10].map(Duration::from_secs);
        assert_eq!(End::of(Code::InvalidProducerEpoch, nearly, longest), End::Expired);
    }
}
