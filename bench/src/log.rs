//! The embedded log alone: `stream/examples/log_speed.rs`.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::report::Report;
use crate::root;

/// Events of 300 bytes.
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    eprintln!("the log alone");
    let arguments =
        ["run", "--quiet", "--release", "--locked", "-p", "autorma-stream", "--example", "log_speed"];
    let output = Command::new("cargo").args(arguments).current_dir(root()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    for (name, key) in
        [("log_append_per_second", "append_per_second"), ("log_consume_per_second", "consume_per_second")]
    {
        report.add(name, figures[key].as_f64().with_context(|| format!("no {key}"))?, None);
    }
    Ok(())
}
