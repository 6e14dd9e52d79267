use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Error;
use crate::store::Store;
use crate::tally::{Entry, gone};

/// Bytes of entries that are in memory at once.
const WINDOW: usize = 16 << 20;

/// The texts of entries, read from a run's parts. However the entries' order goes to and fro among the parts, each
/// byte of theirs is read once.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    store: &'a Store,
    parts: &'a [String],
}

impl<'a> Texts<'a> {
    pub(crate) fn new(store: &'a Store, parts: &'a [String]) -> Self {
        Self { store, parts }
    }

    /// Calls `take` with each entry's text, in the order of the entries.
    pub(crate) fn each(
        &self,
        mut entries: &[Entry],
        mut take: impl FnMut(&Bytes) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while !entries.is_empty() {
            let (window, behind) = entries.split_at(window(entries));
            self.read(window)?.iter().try_for_each(&mut take)?;
            entries = behind;
        }
        Ok(())
    }

    /// Opens each part once.
    fn read(&self, window: &[Entry]) -> Result<Vec<Bytes>, Error> {
        let mut by_part: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, entry) in window.iter().enumerate() {
            by_part.entry(entry.part).or_default().push(place);
        }
        let mut texts = vec![Bytes::new(); window.len()];
        for (part, places) in by_part {
            let path = &self.parts[part];
            let ranges: Vec<_> = places.iter().map(|place| window[*place].range()).collect();
            let found = self.store.get_ranges(path, &ranges)?.ok_or_else(|| gone(self.store, path))?;
            places.into_iter().zip(found).for_each(|(place, text)| texts[place] = text);
        }
        Ok(texts)
    }
}

/// How many of the entries fit in memory; one at the least.
fn window(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.range().len();
        bytes <= WINDOW
    };
    entries.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use autorma_schemas::Micros;
    use serde_json::json;

    use super::*;
    use crate::part::{Header, write};
    use crate::tally::Tally;

    const PARTS: usize = 40;
    const EACH: usize = 20;

    /// A part with every fortieth of the entries, more than 16 MB in all.
    fn part(number: usize) -> Vec<u8> {
        let header = Header {
            part: number as u64,
            run_id: "r".into(),
            stored_at: Micros(0),
            duplicates: 0,
            covers: BTreeMap::new(),
        };
        let mut lines = Vec::new();
        for sequence in (0..EACH).map(|turn| turn * PARTS + number) {
            let letter = json!({"reason": "missing", "image_name": sequence, "error": "x".repeat(25_000)});
            let id = format!("{sequence:032x}");
            let head = json!({"id": id, "sequence": sequence, "seen_at": 0, "done_at": 0}).to_string();
            let head = head.strip_suffix('}').unwrap();
            lines.extend_from_slice(format!("{head},\"dead_letter\":{letter}}}\n").as_bytes());
        }
        write(&header, &lines)
    }

    #[test]
    fn entries_that_are_all_over_the_parts_are_read_once() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let parts: Vec<_> = (0..PARTS).map(|number| format!("{number:08}.jsonl")).collect();
        for (number, path) in parts.iter().enumerate() {
            store.put(path, part(number)).unwrap();
        }
        let tally = Tally::of(&store, "r", &parts, &mut || Ok(())).unwrap();
        let (before, mut next, mut bytes) = (store.bytes_read(), 0, 0);
        let take = |text: &Bytes| {
            let entry: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(entry["image_name"], next, "in the order of their producer");
            (next, bytes) = (next + 1, bytes + text.len() as u64);
            Ok(())
        };
        Texts::new(&store, &parts).each(&tally.failed, take).unwrap();
        assert_eq!(next, PARTS * EACH);
        assert!(bytes > WINDOW as u64, "more than fits in memory");
        assert_eq!(store.bytes_read() - before, bytes, "the work is that of the entries");
    }

    #[test]
    fn a_part_that_has_vanished_is_told() {
        let output = tempfile::tempdir().unwrap();
        let store = Store::open(output.path()).unwrap();
        let parts = ["00000000.jsonl".to_owned()];
        store.put(&parts[0], part(0)).unwrap();
        let tally = Tally::of(&store, "r", &parts, &mut || Ok(())).unwrap();
        store.remove(&parts).unwrap();
        let error = Texts::new(&store, &parts).each(&tally.failed, |_| Ok(())).unwrap_err();
        assert!(matches!(&error, Error::Unreadable { place, .. } if place.ends_with(&parts[0])), "{error}");
    }
}
