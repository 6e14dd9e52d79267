use std::panic::{AssertUnwindSafe, catch_unwind};

use autorma_schemas::{Event, ImageEvent, Reason};
use autorma_stream::Record;

use crate::outcome::{Decoded, Finished, dead, fits, origin, unreadable};
use crate::trace::carried;
use crate::working::Bench;
use crate::{Decoder, Error, Failure};

/// From a record to a picture or a dead letter; None where the photo isn't there by the end, and is left to who comes next.
/// The outer error is no fault of the record.
pub(crate) fn picture(
    record: Record,
    bench: &Bench<'_>,
    decoder: &mut Decoder,
) -> Result<Option<Result<Decoded, Finished>>, Error> {
    let mut event = match ImageEvent::decode(&record.stored.value) {
        Ok(event) => event,
        Err(error) => return Ok(Some(Err(unreadable(record, error.to_string())))),
    };
    if let Err(message) = fits(&event) {
        return Ok(Some(Err(unreadable(record, message))));
    }
    let Record { stored, assignment } = record;
    let origin = origin(&stored);
    let trace = carried(&stored, Some(&event.event_id), &origin);
    // A photo that travels in it is in the event now, and needn't be held twice.
    drop(stored);
    let Some(file) = bench.fetcher.fetch(&mut event, bench.shutdown)? else { return Ok(None) };
    let made = file.and_then(|file| contained(|| decoder.decode(&file)));
    Ok(Some(match made {
        Ok(picture) => Ok(Decoded { assignment, origin, event, picture, trace }),
        Err(failure) => {
            tracing::debug!(event_id = event.event_id, name = event.name, %failure, "dead letter");
            Err(dead((assignment, origin, trace), event, failure, bench.config.batch_size))
        }
    }))
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
