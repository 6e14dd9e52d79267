use crate::bookkeeping::Bookkeeping;

/// So many runs without a record aren't runs whose record is about to come.
const MANY: usize = 100;

/// Complains of runs that have outcomes but no record: such a run stays open for ever, and costs something at each
/// flush.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    /// How many there were at the last complaint.
    told: usize,
}

impl Strays {
    pub(crate) fn look(&mut self, books: &Bookkeeping) {
        let runs = books.without_record().count();
        if self.is_news(runs) {
            let one = books.without_record().next();
            tracing::warn!(
                runs,
                one,
                "many runs have outcomes but no record in the topic `runs`, and get no results file without one: let \
                 the program that names them leave run_id empty"
            );
        }
    }

    /// Whether it is time to say it: when there are many, and again at each doubling.
    fn is_news(&mut self, runs: usize) -> bool {
        let is_news = runs >= MANY.max(2 * self.told);
        if is_news {
            self.told = runs;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_when_there_are_many_and_at_each_doubling() {
        let mut strays = Strays::default();
        let counts = [0, 99, 100, 101, 199, 200, 90, 250, 399, 1000, 1999, 2000];
        let told: Vec<_> = counts.into_iter().filter(|runs| strays.is_news(*runs)).collect();
        assert_eq!(told, [100, 200, 1000, 2000]);
    }
}
