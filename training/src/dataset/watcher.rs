use super::DatasetError;

/// Who watches long work, and may stop it.
pub trait Watcher {
    /// A step begins that takes so many photos.
    fn begins(&self, step: &'static str, photos: usize);
    /// One photo of the step is done.
    fn done(&self);
    /// Whether somebody wants it to stop.
    fn stops(&self) -> bool;

    /// Hears how many photos of the step are done, one after the other and first of none; whether it goes on.
    fn hears(&self, done: usize) -> bool {
        if done > 0 {
            self.done();
        }
        !self.stops()
    }

    /// An error if somebody wants it to stop.
    fn goes_on(&self) -> Result<(), DatasetError> {
        if self.stops() { Err(DatasetError::Stopped) } else { Ok(()) }
    }
}
