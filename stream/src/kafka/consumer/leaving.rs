use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::{Heard, KafkaConsumer, subscribe};
use crate::{Membership, NoRebalance, Result};

/// How long a member that leaves waits for the group to hear of it.
const GOODBYE: Duration = Duration::from_secs(3);

impl KafkaConsumer {
    pub(super) fn depart(&mut self) {
        self.left = true;
        if let Err(error) = self.unsubscribe() {
            tracing::debug!(%error, "the group may not have heard of a member's end");
        }
        self.close();
    }

    /// Joins anew where this member has given up what it held, having been silent for too long. Returns
    /// whether that is done.
    ///
    /// librdkafka looks only twice a second whether a member is polled. If it notices, it joins anew by
    /// itself; if not, it goes on with the partitions that were given up here. It is listened to for a
    /// heartbeat before: a slot that has gone to another must not be taken back without a word.
    pub(super) fn come_back(&mut self) -> Result<bool> {
        let (begun, longest) = (Instant::now(), self.cluster.config.heartbeat());
        while begun.elapsed() < longest && !self.is_full() {
            self.hear(Duration::from_millis(10))?;
            self.rebalanced()?;
        }
        if self.is_adrift() {
            self.join_again("it was silent for too long")?;
        }
        Ok(!self.is_adrift())
    }

    /// Whether librdkafka reads partitions that this member doesn't hold: their records would be dropped.
    fn is_adrift(&self) -> bool {
        let Ok(read) = self.member.consumer.assignment() else { return false };
        let held = self.held.lock();
        self.listener().ours(&read).iter().any(|at| !held.contains_key(at))
    }

    /// Leaves and comes again, so that the group shares everything out anew.
    pub(super) fn join_again(&mut self, why: &str) -> Result<()> {
        let Membership { group, slot, .. } = &self.member.membership;
        tracing::warn!(group, slot, why, "leaving the group and joining it again");
        let unsubscribed = self.unsubscribe();
        let consumer = &self.member.consumer;
        let subscribed = subscribe(&self.cluster, consumer, &self.topics, "joining the group again");
        // Who was fenced hears of it first, and then can't subscribe for that.
        unsubscribed.and(subscribed)
    }

    /// A static member that only goes away keeps its partitions for the session: it must unsubscribe.
    ///
    /// What comes meanwhile is kept: of partitions that are still held after all, it isn't told again.
    fn unsubscribe(&mut self) -> Result<()> {
        let let_in = self.wait_until_let_in();
        self.member.consumer.unsubscribe();
        self.listener().is_let_in.store(false, Ordering::Relaxed);
        let_in?;
        let begun = Instant::now();
        let mut quiet = 0;
        while quiet < 3 && begun.elapsed() < GOODBYE {
            let heard = self.hear(Duration::from_millis(10))?;
            let changed = self.rebalanced()?;
            // librdkafka leaves only when a rebalance is over. In two steps, for both lock what is held.
            let is_free = self.held.lock().is_empty();
            let is_free = is_free && !self.is_adrift();
            quiet = if is_free && !changed && heard == Heard::Nothing { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    /// Before it is let in, the group doesn't know by what name a member would say goodbye, and waits for it
    /// after it has gone. The others hear that somebody comes at their next heartbeat.
    fn wait_until_let_in(&mut self) -> Result<()> {
        let (begun, longest) = (Instant::now(), GOODBYE + self.cluster.config.heartbeat());
        while !self.listener().is_let_in.load(Ordering::Relaxed) && begun.elapsed() < longest {
            self.hear(Duration::from_millis(10))?;
            self.rebalanced()?;
        }
        Ok(())
    }

    /// Closes the client, and leaves it to a thread of its own if that takes long: a cluster that is away
    /// must not hold up a stop. One that can't be closed, as after it was fenced, ends when it is dropped:
    /// librdkafka says no goodbye for it.
    fn close(&self) {
        let consumer = &self.member.consumer;
        let begun = Instant::now();
        if let Err(error) = consumer.close_queue() {
            tracing::debug!(%error, "a consumer can't be closed");
            return;
        }
        while !consumer.closed() {
            if begun.elapsed() > GOODBYE {
                return self.part();
            }
            drop(consumer.poll(Duration::from_millis(10)));
        }
    }

    /// Leaves the client to a thread that polls it until it has closed: nobody else does, and what it says
    /// of itself would pile up.
    fn part(&self) {
        self.listener().ear.leave();
        // The stage is about to end, and hears of no partition any more.
        *self.listener().stage.lock() = Box::new(NoRebalance);
        let member = Arc::clone(&self.member);
        let wait = move || {
            while !member.consumer.closed() {
                drop(member.consumer.poll(Duration::from_millis(100)));
            }
        };
        if let Err(error) = Builder::new().name("goodbye".into()).spawn(wait) {
            tracing::error!(%error, "no thread can be started");
            std::mem::forget(Arc::clone(&self.member));
        }
    }
}
