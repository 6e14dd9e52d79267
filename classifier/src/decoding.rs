use autorma_schemas::{Event, ImageEvent};
use autorma_stream::Record;

use crate::outcome::{Decoded, Finished, dead, fits, origin, unreadable};
use crate::trace::carried;
use crate::working::Bench;
use crate::{Decoder, Error};

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
    let made = file.and_then(|file| decoder.decode(&file));
    Ok(Some(match made {
        Ok(picture) => Ok(Decoded { assignment, origin, event, picture, trace }),
        Err(failure) => {
            tracing::debug!(event_id = event.event_id, name = event.name, %failure, "dead letter");
            Err(dead((assignment, origin, trace), event, failure, bench.config.batch_size))
        }
    }))
}
