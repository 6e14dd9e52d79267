//! Model manifests: what a model expects, what it means, and whether its file is the one described.
