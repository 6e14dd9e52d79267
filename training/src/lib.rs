//! Data sets prepared and checked, and classifiers trained on them.
