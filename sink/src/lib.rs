//! The last stage: prediction files and run summaries.
