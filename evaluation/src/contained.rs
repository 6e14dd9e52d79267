use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `decode` makes of a file. One that makes a decoder panic costs itself only.
pub fn contained<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // A decoder holds nothing but buffers that the next picture overwrites.
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err("undecodable: the decoder panicked on this file".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::contained;

    #[test]
    fn a_decoder_that_panics_costs_its_own_photo() {
        let failed = contained::<()>(|| panic!("as a decoder may")).unwrap_err();
        assert!(failed.contains("panicked on this file"), "{failed}");
        assert_eq!(contained(|| Ok(7)), Ok(7));
    }
}
