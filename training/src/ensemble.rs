use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use autorma_evaluation::{Judged, Judgement, Label};
use autorma_models::{Manifest, Member, Model};

use crate::decisions::{HeldOut, choose};
use crate::{Error, Targets, made};

/// A model that becomes a member of an ensemble, or its members do if it is one.
#[derive(Debug)]
pub struct Component {
    /// What whoever names it calls it, for errors: several may have one name and one version.
    pub called: String,
    /// The model.
    pub model: Model,
    /// What it was quantized from, if that was kept.
    pub reference: Option<Model>,
    /// How much it counts beside the others, above 0.
    pub weight: f64,
}

/// Several models as one, which says the mean of their log-probabilities.
#[derive(Debug)]
pub struct Ensemble {
    /// The ensemble.
    pub model: Model,
    /// The same with each component's reference, if any has one.
    pub reference: Option<Model>,
}

impl Ensemble {
    /// Of these components, with the first one's name. Its temperature and thresholds say nothing before
    /// [`Ensemble::calibrate`].
    ///
    /// # Errors
    /// [`Error::Ensemble`] if the components take or say different things, or make no model that can be used.
    pub fn of(components: &[Component]) -> Result<Self, Error> {
        let manifest = manifest(components)?;
        let onnx =
            |of: fn(&Component) -> &Model| components.iter().flat_map(|it| of(it).onnx.clone()).collect();
        let reference = manifest.of_reference().map(|manifest| {
            let onnx = onnx(|it| it.reference.as_ref().unwrap_or(&it.model));
            Model { manifest, onnx }
        });
        Ok(Self { model: Model { manifest, onnx: onnx(|it| &it.model) }, reference })
    }

    /// Chooses temperature and thresholds by what the ensemble has said of photos, as a training does. None of them is known
    /// as a contributor's: all photos of the classes are held to `refused`.
    ///
    /// # Errors
    /// [`Error::TooLittle`] if it has said nothing of any photo of a class.
    pub fn calibrate(&mut self, judgement: &Judgement, targets: &Targets) -> Result<(), Error> {
        let manifest = &mut self.model.manifest;
        let judged = judgement.judged.iter().filter_map(|(_, judged)| judged.as_ref().ok());
        let held_out: Vec<_> = judged.enumerate().map(|it| held_out(it, manifest)).collect();
        choose(manifest, &held_out, targets)?;
        let known = held_out.iter().filter(|it| it.kind < manifest.classes.len()).count();
        let strangers = held_out.len() - known;
        let how = format!("by {known} photos of the classes and {strangers} of none");
        manifest.origin.insert("temperature and thresholds".into(), how);
        let Manifest { temperature, thresholds, origin, .. } = manifest;
        if let Some(reference) = &mut self.reference {
            (reference.manifest.temperature, reference.manifest.thresholds) = (*temperature, *thresholds);
            reference.manifest.origin.clone_from(origin);
        }
        Ok(())
    }

    /// Whether an ensemble may be written to the folder: what isn't empty may be somebody's model.
    ///
    /// # Errors
    /// [`Error::Taken`] if there is something in it.
    pub fn check_place(folder: &Path) -> Result<(), Error> {
        match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Taken(folder.to_owned())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(Error::File { path: folder.to_owned(), cause }),
        }
    }

    /// Writes it to a folder, which is created, or empty: the manifest last.
    ///
    /// # Errors
    /// [`Error::Taken`] if there is something in the folder.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        Self::check_place(folder)?;
        made::write(folder, &self.model, self.reference.as_ref(), &[])
    }
}

fn manifest(components: &[Component]) -> Result<Manifest, Error> {
    let Some(first) = components.first() else {
        return Err(Error::Ensemble("there is no model".into()));
    };
    for it in components {
        if let Some(unlike) = unlike(&it.model.manifest, &first.model.manifest) {
            return Err(Error::Ensemble(format!("{} {unlike} than {}", it.called, first.called)));
        }
    }
    let manifests = || components.iter().map(|it| &it.model.manifest);
    let versions: Vec<_> = manifests().map(|it| &*it.version).collect();
    let licences: BTreeSet<_> = manifests().map(|it| &*it.licence).collect();
    let manifest = Manifest {
        version: versions.join("+"),
        members: components.iter().flat_map(members).collect(),
        temperature: 1.0,
        origin: (1..).zip(manifests()).map(|(number, it)| (format!("member {number}"), origin(it))).collect(),
        licence: licences.into_iter().collect::<Vec<_>>().join(" AND "),
        // What was measured on the components says nothing of all of them together.
        metrics: Default::default(),
        ..first.model.manifest.clone()
    };
    manifest.problem().map_or(Ok(manifest), |problem| Err(Error::Ensemble(problem)))
}

/// Why a model can't be asked together with another one.
fn unlike(manifest: &Manifest, first: &Manifest) -> Option<&'static str> {
    let rules = [
        (manifest.input == first.input, "takes other pictures"),
        (manifest.classes == first.classes, "knows other classes"),
        (manifest.output == first.output, "has other outputs"),
    ];
    rules.iter().find(|(alike, _)| !alike).map(|(_, unlike)| *unlike)
}

/// A component's members, which share its weight. Their files are named after their content: those of several models often
/// have one name.
fn members(Component { model, weight, .. }: &Component) -> Vec<Member> {
    let members = model.manifest.with_named_files().members.into_iter().zip(model.manifest.shares());
    members.map(|(member, share)| Member { weight: weight * share, ..member }).collect()
}

fn origin(manifest: &Manifest) -> String {
    let Manifest { name, version, origin, .. } = manifest;
    let parts: Vec<_> = origin.iter().map(|(what, text)| format!("{what}: {text}")).collect();
    format!("{name} {version}, sha-256 {}; {}", manifest.sha256(), parts.join("; "))
}

fn held_out((photo, judged): (usize, &Judged), manifest: &Manifest) -> HeldOut {
    let kind = match judged.label {
        Label::Class(class) => class,
        Label::Stranger => manifest.classes.len(),
    };
    HeldOut { photo, kind, is_contributed: false, logits: judged.logits.clone() }
}

#[cfg(test)]
mod tests;
