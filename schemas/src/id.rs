use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{Origin, hex, is_hex};

/// What tells an image event from all others, in 128 bits: so the ids of many stay in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u128);

impl Id {
    /// An event's id is its own 128 bits if it is one of ours, 32 hexadecimal digits, and a hash otherwise.
    pub fn of(event_id: &str) -> Self {
        let ours = is_hex(event_id, 32).then(|| u128::from_str_radix(event_id, 16).ok()).flatten();
        Self(ours.unwrap_or_else(|| hash(event_id)))
    }

    /// A record that isn't an image event has no id; its place in the log is one.
    pub fn of_record(origin: &Origin) -> Self {
        Self(hash(&origin.to_string()))
    }
}

fn hash(text: &str) -> u128 {
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0.to_be_bytes()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&digits, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn ids_tell_events_apart() {
        let ours = "0123456789abcdef0123456789abcdef";
        assert_eq!(Id::of(ours), Id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        assert_ne!(Id::of("a"), Id::of("b"));
        assert_ne!(Id::of(&ours.to_uppercase()), Id::of(ours), "written otherwise, it is another event");
    }
}
