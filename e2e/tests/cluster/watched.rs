//! What others see of it: lag, and traces.

use autorma_broker::shared;
use autorma_e2e::{Daemon, Photos, Sandbox, eventually};
use autorma_schemas::topics;

use crate::outsider::{Outsider, append, inline};

#[test]
fn lag_goes_to_nothing_and_traces_go_on() {
    let Some(photos) = Photos::shared() else { return };
    let sandbox = Sandbox::on_kafka(&shared().bootstrap());
    let mut outsider = Outsider::of(&sandbox, shared());
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "shop=1"), ("other", "stays")];
    let mut traced = append(&inline(&photos.good[0].0, "traced.jpg"));
    traced.headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
    let mut all = vec![traced];
    all.extend((1..9).map(|number| append(&inline(&photos.good[number].0, &format!("{number}.jpg")))));
    outsider.send(all);
    // Nobody classifies yet.
    let sink = Daemon::of(&sandbox, sandbox.command(&["sink"])).ready();
    const CLASSIFIER: &str = "autorma_lag_records{group=\"classifier\"";
    let lag = eventually("each group's lag is told by each process", || sink.metric(CLASSIFIER));
    assert!(lag >= 9.0, "{lag}");
    let classifier = Daemon::of(&sandbox, sandbox.command(&["classify"])).ready();
    for daemon in [&sink, &classifier] {
        eventually("nothing is left to do", || (daemon.metric("autorma_lag_records{")? == 0.0).then_some(()));
    }
    sink.outcomes(9);
    classifier.end();
    sink.end();
    let predictions = outsider.read(topics::PREDICTIONS);
    assert_eq!(predictions.len(), 9);
    let with_headers: Vec<_> = predictions.iter().filter(|record| !record.headers.is_empty()).collect();
    let [record] = with_headers[..] else { panic!("{with_headers:?}") };
    assert_eq!(record.key.as_deref(), Some(b"outside-traced.jpg".as_slice()));
    let [(name, value), (state, members)] = &record.headers[..] else { panic!("{:?}", record.headers) };
    let value = String::from_utf8(value.clone()).unwrap();
    assert_eq!(
        (name.as_str(), state.as_str(), members.as_slice()),
        ("traceparent", "tracestate", b"shop=1".as_slice())
    );
    assert!(value.starts_with(&format!("00-{TRACE}-")) && value.ends_with("-01"), "{value}");
    assert_ne!(value, parent, "the parent is the classifier's step now");
}
