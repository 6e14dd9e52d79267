//! The first stage: finds photos in a folder and publishes image events.
