//! The log on real brokers: what goes wrong with them, what comes into `images` from elsewhere, and what people do to a
//! cluster with Kafka's own tools.

mod outsider;

mod at_start;
mod duplicates;
mod hidden;
mod homes;
mod offsets;
mod outage;
mod poison;
mod rights;
mod security;
mod slots;
mod topics;
mod versions;
mod watched;

use std::process::Output;

use autorma_broker::Cluster;

/// One of Kafka's tools, which must do it; what it said.
#[track_caller]
fn tool(cluster: &Cluster, class: &str, args: &[&str]) -> String {
    let (done, told) = told(cluster.tool(class, args).unwrap());
    assert!(done, "{class} {args:?}: {told}");
    told
}

/// Whether it went well, and everything that it said.
fn told(output: Output) -> (bool, String) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}
