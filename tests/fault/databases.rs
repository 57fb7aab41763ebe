//! Databases that fail, hang, or return changed data.

use crate::faults::{DATA, Fault, NETWORKS, SERVERS, SESSIONS};
use crate::trial::Trial;

async fn run_all(faults: &[Fault]) {
    let trial = Trial::start().await;
    for fault in faults {
        trial.run(fault).await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_fail_or_hang_cause_no_wrong_answer_and_affect_no_other_flow() {
    run_all(&SERVERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_that_fail_cause_no_wrong_answer_and_affect_no_other_flow() {
    run_all(&NETWORKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_serve_cause_no_wrong_answer_and_affect_no_other_flow() {
    run_all(&SESSIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_schemas_and_data_cause_no_wrong_answer_and_affect_no_other_flow() {
    run_all(&DATA).await;
}
