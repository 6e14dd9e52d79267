use super::DatasetError;

/// Who watches long work, and may stop it. Several threads call it at once.
pub trait Watcher: Sync {
    /// A step begins that takes so many photos.
    fn begins(&self, step: &'static str, photos: usize);
    /// One photo of the step is done.
    fn done(&self);
    /// Whether somebody wants it to stop.
    fn stops(&self) -> bool;

    /// An error if somebody wants it to stop.
    fn goes_on(&self) -> Result<(), DatasetError> {
        if self.stops() { Err(DatasetError::Stopped) } else { Ok(()) }
    }
}
