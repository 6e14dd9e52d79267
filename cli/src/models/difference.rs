use std::collections::{BTreeMap, BTreeSet};

use autorma_models::registry::{Reference, Registry};
use serde::Serialize;
use serde_json::Value;

use crate::args::DiffArgs;
use crate::output::tell;
use crate::table::{Table, cell, values};

/// A value that differs; None where a version hasn't it.
#[derive(Debug, Serialize)]
struct Difference {
    name: String,
    from: Option<Value>,
    to: Option<Value>,
}

/// `autorma models diff`.
pub(super) fn diff(registry: &dyn Registry, args: &DiffArgs) -> anyhow::Result<()> {
    let (from, to) = (of(registry, &args.from)?, of(registry, &args.to)?);
    let names: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let differ = names.into_iter().filter(|name| from.get(*name) != to.get(*name));
    let differences: Vec<_> = differ
        .map(|name| Difference {
            name: name.clone(),
            from: from.get(name).cloned(),
            to: to.get(name).cloned(),
        })
        .collect();
    tell(args.json.json, differences, table)
}

fn table(differences: Vec<Difference>) -> String {
    if differences.is_empty() {
        return "They are the same.\n".into();
    }
    let mut table = Table::new(["manifest", "from", "to"]);
    for Difference { name, from, to } in differences {
        let [from, to] = [from, to].map(|value| value.as_ref().map(cell).unwrap_or_default());
        table.row([name, from, to]);
    }
    table.to_string()
}

/// The values of a version's manifest.
fn of(registry: &dyn Registry, reference: &Reference) -> anyhow::Result<BTreeMap<String, Value>> {
    let manifest = serde_json::to_value(registry.find(reference)?.manifest)?;
    Ok(values(&manifest).into_iter().map(|(name, value)| (name, value.clone())).collect())
}
