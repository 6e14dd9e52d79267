use super::*;
use crate::{NoRebalance, StoredRecord};

/// Two partitions with a record each; the second can't be read the first time.
struct Failing(bool);

impl Store for Failing {
    fn beat(&mut self, held: &[TopicPartition]) -> Result<Option<Beat>> {
        let all =
            || (0..2).map(|partition| (TopicPartition::new("t", partition), NextOffset::START)).collect();
        Ok(Some(Beat { taken: if held.is_empty() { all() } else { Vec::new() }, ..Beat::default() }))
    }

    fn epoch(&mut self) -> Result<i64> {
        Ok(0)
    }

    fn release(&mut self, _: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        Ok(())
    }

    fn fetch(
        &mut self,
        at: &TopicPartition,
        from: NextOffset,
        _: PollLimit,
        _: bool,
    ) -> Result<Vec<StoredRecord>> {
        if at.partition == 1 && std::mem::take(&mut self.0) {
            return Err(Error::Busy("it recovers".into()));
        }
        let record = StoredRecord { at: at.clone(), ..StoredRecord::default() };
        Ok(if from == NextOffset::START { vec![record] } else { Vec::new() })
    }
}

#[test]
fn what_was_read_beside_what_cannot_be_read_comes_once() {
    let membership = Membership { group: "g".into(), slot: "s".into(), incarnation: 0 };
    let pace = Pace { beat: Duration::from_secs(9), look: Duration::from_secs(9) };
    let mut member = GroupMember::new(Failing(true), membership, Box::new(NoRebalance), Arc::default(), pace);
    let limit = PollLimit { records: 10, bytes: 1000 };
    let mut came = Vec::new();
    for _ in 0..9 {
        match member.poll(limit, Duration::ZERO) {
            Ok(records) => came.extend(records.into_iter().map(|record| record.stored.at.partition)),
            Err(error) => assert!(matches!(error, Error::Busy(_)), "{error}"),
        }
    }
    assert_eq!(came, [0, 1]);
}
