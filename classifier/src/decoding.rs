use std::panic::{AssertUnwindSafe, catch_unwind};

use autorma_schemas::{Event, ImageEvent, Reason};
use autorma_stream::Record;

use crate::fetch::Fetcher;
use crate::outcome::{Decoded, Finished, dead, fits, origin, unreadable};
use crate::trace::carried;
use crate::{Config, Decoder, Error, Failure};

/// From a record to a picture or a dead letter. The outer error is no fault of the record.
pub(crate) fn picture(
    record: Record,
    fetcher: &Fetcher<'_>,
    decoder: &mut Decoder,
    config: &Config,
) -> Result<Result<Decoded, Finished>, Error> {
    let mut event = match ImageEvent::decode(&record.stored.value) {
        Ok(event) => event,
        Err(error) => return Ok(Err(unreadable(record, error.to_string()))),
    };
    if let Err(message) = fits(&event) {
        return Ok(Err(unreadable(record, message)));
    }
    let origin = origin(&record.stored);
    let trace = carried(&record.stored, Some(&event.event_id), &origin);
    let assignment = record.assignment;
    let made = fetcher.fetch(&event)?.and_then(|file| contained(|| decoder.decode(&file)));
    Ok(match made {
        Ok(picture) => {
            event.bytes = None;
            Ok(Decoded { assignment, origin, event, picture, trace })
        }
        Err(failure) => {
            tracing::debug!(event_id = event.event_id, name = event.name, %failure, "dead letter");
            Err(dead((assignment, origin, trace), event, failure, config.batch_size))
        }
    })
}

/// What `decode` makes of a file. One that makes a decoder panic costs itself only.
pub fn contained<T>(decode: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // A decoder holds nothing but buffers that the next picture overwrites.
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Failure::new(Reason::Undecodable, "the decoder panicked on this file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_costs_its_own_photo() {
        let failure = contained::<()>(|| panic!("as a decoder may")).unwrap_err();
        assert_eq!(failure.to_string(), "undecodable: the decoder panicked on this file");
        assert_eq!(contained(|| Ok(7)), Ok(7));
    }
}
