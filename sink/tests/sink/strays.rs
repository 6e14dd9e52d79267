//! Outcomes that name runs of which no record is about.

use autorma_schemas::RunState;

use crate::telling::said;
use crate::workplace::{Workplace, outcome, run};

#[test]
fn many_runs_without_a_record_are_complained_of() {
    let workplace = Workplace::new();
    let names: Vec<_> = (0..100).map(|number| format!("order-{number}")).collect();
    workplace.append([run(&names[0], RunState::Open, 1)]);
    workplace.append(names.iter().map(|name| outcome(name, 1)));
    let told = said(&workplace, |snapshot| snapshot.durable_outcomes == 100);
    assert_eq!(told, Vec::<String>::new(), "one of them has a record");
    workplace.append([outcome("another", 1)]);
    let told = said(&workplace, |snapshot| snapshot.durable_outcomes == 1);
    assert_eq!(told.len(), 1, "said once: {told:?}");
    assert!(told[0].contains("runs=100") && told[0].contains("leave run_id empty"), "{told:?}");
}
