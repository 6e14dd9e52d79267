//! The registry in both of its homes: a folder, and a real MLflow server.

mod mlflow;
mod scripted;
mod server;
mod suite;
mod tls;

use autorma_models::registry::FolderRegistry;

#[test]
fn the_folder_does_what_every_home_must() {
    let folder = tempfile::tempdir().unwrap();
    suite::holds(&FolderRegistry::new(folder.path()), "folder");
}
