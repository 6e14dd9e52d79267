use super::Photos;
use crate::contents::Contents;
use crate::dataset::Groups;

impl Photos {
    /// Puts copies of a photo into one group, wherever they lie and whatever their names are. Of copies in several
    /// parts only those in `test` stay, or else those in `val`: who has learned from a copy knows the photo, and
    /// learning can do without it.
    pub(crate) fn join_copies(&mut self, contents: &mut Contents) {
        let (mut groups, mut copies) = (self.groups(), Groups::new(self.all.len()));
        groups.join_by(contents.pictures());
        copies.join_by(contents.pictures());
        self.number(groups);
        for (number, photo) in self.all.iter_mut().enumerate() {
            photo.content = copies.first(number);
        }
        let copies = copies.all();
        self.tell_of_two_kinds(&copies);
        self.leave_out_known(&copies, contents);
    }

    /// Which of them is right only people can tell.
    fn tell_of_two_kinds(&self, copies: &[Vec<usize>]) {
        for those in copies {
            let first = &self.all[those[0]];
            let other = those.iter().map(|photo| &self.all[*photo]).find(|photo| photo.kind != first.kind);
            if let Some(other) = other {
                tracing::warn!(
                    one = %first.path.display(),
                    other = %other.path.display(),
                    "the same photo is in folders of two kinds: remove it from the wrong one"
                );
            }
        }
    }

    /// Leaves out what lies in an earlier part than another copy of it.
    fn leave_out_known(&mut self, copies: &[Vec<usize>], contents: &mut Contents) {
        let (mut stays, mut first) = (vec![true; self.all.len()], None);
        for those in copies {
            let part = |photo: usize| self.all[photo].part;
            let Some(kept) = those.iter().copied().max_by_key(|photo| part(*photo)) else { continue };
            for photo in those.iter().copied().filter(|photo| part(*photo) < part(kept)) {
                stays[photo] = false;
                first = first.or(Some((photo, kept)));
            }
        }
        let Some((photo, kept)) = first else { return };
        tracing::warn!(
            photos = stays.iter().filter(|stays| !**stays).count(),
            first = %self.all[photo].path.display(),
            copy_of = %self.all[kept].path.display(),
            "left out, since a copy is in test or val: nothing can be judged by what it has learned from"
        );
        let mut are_kept = stays.iter();
        self.all.retain(|_| are_kept.next() == Some(&true));
        contents.retain(&stays);
        // The numbers of groups are those of their first photos, some of which are gone.
        self.number(self.groups());
    }
}
