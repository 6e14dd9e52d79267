use std::path::{Path, PathBuf};

use autorma_evaluation::visible;

use super::Folders;
use super::sources::{Role, Source, has_photos, real, sources};
use crate::Error;
use crate::dataset::is_of_training;
use crate::error::at;
use crate::files::meant;
use crate::training::MODEL;

/// Where photos are looked for. All folders are as the system names them.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) sources: Vec<Source>,
    /// The folders of those in which classes are folders.
    pub(super) data: Vec<PathBuf>,
    /// The folders of the rest.
    pub(super) strangers: Vec<PathBuf>,
    /// The folders in `data` that are none of their classes.
    pub(super) apart: Vec<PathBuf>,
}

impl Places {
    /// Those in the folders, for a training that writes in the folder `output`.
    pub(super) fn of(folders: &Folders, output: &Path) -> Result<Self, Error> {
        let output = at(output, meant(output))?;
        let named = all_real(&folders.data)?;
        let others = all_real(&[&folders.other[..], &folders.backgrounds].concat())?;
        let mut apart: Vec<_> = named.iter().chain(&others).flat_map(|folder| of_trainings(folder)).collect();
        apart.push(output.clone());
        // Who was killed there may have left a model without its recipe.
        apart.extend(Some(output.join(MODEL)).filter(|model| !has_photos(model, &|_| false)));
        let sources = sources(folders, &apart)?;
        let folders_of = |is_data: bool| -> Vec<PathBuf> {
            let wanted = sources.iter().filter(|it| (it.role == Role::Data) == is_data);
            wanted.map(|it| it.folder.clone()).collect()
        };
        let (data, strangers) = (folders_of(true), folders_of(false));
        // On the sides of a split, too.
        apart.extend(data.iter().flat_map(|folder| of_trainings(folder)));
        apart.extend(only_around(&output, &data));
        apart.extend(others);
        // What lies in another folder of data is none of its classes.
        apart.extend(named.into_iter().filter(|folder| is_in_another(folder, &data)));
        Ok(Self { sources, data, strangers, apart })
    }
}

fn all_real(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    folders.iter().map(|folder| real(folder)).collect()
}

/// What trainings have written in the folder.
fn of_trainings(folder: &Path) -> impl Iterator<Item = PathBuf> {
    // One that can't be read is told of when its photos are looked for.
    let inner = visible(folder).into_iter().flatten();
    inner.filter(|(path, is_folder)| *is_folder && is_of_training(path)).map(|(path, _)| path)
}

fn is_in_another(folder: &Path, data: &[PathBuf]) -> bool {
    data.iter().any(|data| folder.starts_with(data) && folder != data)
}

/// The folders in `data` that `output` is in, if all their photos are in there.
fn only_around<'a>(output: &'a Path, data: &'a [PathBuf]) -> impl Iterator<Item = PathBuf> + use<'a> {
    let around = output.ancestors().skip(1).take_while(|folder| is_in_another(folder, data));
    around.filter(move |folder| !has_photos(folder, &|it| it == output)).map(Path::to_owned)
}
