use anyhow::{Context, bail};
use autorma_schemas::{DeadLetter, Event, ImageEvent, event_id, file_path, topics};
use autorma_stream::{Log, NextOffset, TopicPartition};

use crate::photo;
use crate::reading::patiently;

/// The image event that a dead letter was made of; of a file that has other content by now, the event of that.
pub(super) fn event(log: &dyn Log, letter: &DeadLetter) -> anyhow::Result<ImageEvent> {
    let former = match original(log, letter)? {
        Some(event) => event,
        None => rebuilt(letter)?,
    };
    Ok(as_it_is_now(&former).unwrap_or(former))
}

/// The record that the letter names, if the log still has it and it is an image event.
fn original(log: &dyn Log, letter: &DeadLetter) -> anyhow::Result<Option<ImageEvent>> {
    let origin = &letter.origin;
    if origin.topic != topics::IMAGES {
        return Ok(None);
    }
    let at = TopicPartition::new(topics::IMAGES, origin.partition);
    let records = patiently(|| log.read(&at, NextOffset(origin.offset), 1))?;
    let there = records.into_iter().find(|record| record.offset.0 == origin.offset);
    let event = there.and_then(|record| ImageEvent::decode(&record.value).ok());
    // Another one at its place: the topic was made anew.
    Ok(event.filter(|event| letter.event_id.as_ref().is_none_or(|id| *id == event.event_id)))
}

/// The event from what the letter knows of it.
fn rebuilt(letter: &DeadLetter) -> anyhow::Result<ImageEvent> {
    if let Some(raw) = &letter.raw {
        return ImageEvent::decode(raw)
            .context("it still isn't an image event: its producer must send it anew");
    }
    let (Some(event_id), Some(uri)) = (&letter.event_id, &letter.uri) else {
        bail!("the log doesn't have its content any more (log.retention): its producer must send it anew");
    };
    Ok(ImageEvent {
        event_id: event_id.clone(),
        run_id: None,
        sequence: 0,
        source: letter.source.clone(),
        name: letter.name.clone(),
        uri: Some(uri.clone()),
        bytes: None,
        sha256: letter.sha256.clone(),
        // Only the hash is checked.
        length: 0,
        seen_at: letter.seen_at,
        attributes: letter.attributes.clone(),
    })
}

/// The event of a file with the content that it has now; None: it has the same, or this machine can't read it, which is
/// the classifier's to judge.
fn as_it_is_now(event: &ImageEvent) -> Option<ImageEvent> {
    let uri = event.uri.as_deref().filter(|_| event.bytes.is_none())?;
    let path = file_path(uri)?;
    let photo = photo::read(&path, None).ok()?;
    let is_other = !event.sha256.eq_ignore_ascii_case(&photo.sha256);
    is_other.then(|| ImageEvent {
        event_id: event_id(uri, &photo.sha256),
        length: photo.length as i64,
        sha256: photo.sha256,
        ..event.clone()
    })
}
