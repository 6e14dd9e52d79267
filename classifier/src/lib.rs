//! The middle stage: fetches, decodes and classifies photos in micro-batches.
