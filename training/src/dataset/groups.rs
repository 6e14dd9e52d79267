use std::collections::BTreeMap;

/// Items that belong together, directly or through others: disjoint sets.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Of each item, one that comes before it in its group; itself, if there is none.
    earlier: Vec<usize>,
}

impl Groups {
    /// So many items, each on its own.
    pub(crate) fn new(items: usize) -> Self {
        Self { earlier: (0..items).collect() }
    }

    /// The two belong together.
    pub(crate) fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.earlier[one.max(other)] = one.min(other);
    }

    /// Items with the same key belong together.
    pub(crate) fn join_by<K: Ord>(&mut self, keys: impl Iterator<Item = Option<K>>) {
        let mut first = BTreeMap::new();
        for (item, key) in keys.enumerate() {
            if let Some(key) = key {
                let first = *first.entry(key).or_insert(item);
                self.join(first, item);
            }
        }
    }

    /// The first item of the group.
    pub(crate) fn first(&mut self, item: usize) -> usize {
        let mut item = item;
        while self.earlier[item] != item {
            // Halves the way for those who come later.
            self.earlier[item] = self.earlier[self.earlier[item]];
            item = self.earlier[item];
        }
        item
    }

    /// All groups, each with its items in order.
    pub(crate) fn all(mut self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for item in 0..self.earlier.len() {
            groups.entry(self.first(item)).or_default().push(item);
        }
        groups.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belonging_together_is_passed_on() {
        let mut groups = Groups::new(7);
        groups.join(5, 3);
        groups.join_by([Some("a"), None, None, None, Some("b"), Some("b"), Some("a")].into_iter());
        groups.join(6, 0);
        assert_eq!(groups.all(), [vec![0, 6], vec![1], vec![2], vec![3, 4, 5]]);
    }
}
