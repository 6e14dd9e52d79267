use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

/// How many warnings are remembered: a few megabytes.
const MOST: usize = 200_000;

/// What was warned of: each problem of each path is worth one line.
#[derive(Debug, Default)]
pub(crate) struct Warned {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Warned {
    /// Whether this is the first time.
    pub(crate) fn first(&mut self, path: &Path, problem: &str) -> bool {
        if self.seen.len() >= MOST {
            self.seen.clear();
        }
        self.seen.insert(self.hasher.hash_one((path, problem)))
    }

    /// The problem is over: if it comes back, that is news.
    pub(crate) fn over(&mut self, path: &Path, problem: &str) -> bool {
        self.seen.remove(&self.hasher.hash_one((path, problem)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_of_each_path_is_news_once() {
        let mut warned = Warned::default();
        let (one, two) = (Path::new("/in/a.jpg"), Path::new("/in/b.jpg"));
        assert!(warned.first(one, "denied"));
        assert!(!warned.first(one, "denied"));
        assert!(warned.first(one, "outside"));
        assert!(warned.first(two, "denied"));
        assert!(warned.over(one, "denied") && !warned.over(one, "denied"));
        assert!(warned.first(one, "denied"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut warned = Warned::default();
        (0..MOST + 10).for_each(|number| assert!(warned.first(Path::new("/in"), &number.to_string())));
        assert!(warned.seen.len() <= MOST);
    }
}
