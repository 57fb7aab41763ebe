//! Domains that are services: `tributary domain` before their databases, of which either fails.

use crate::faults::{DATA, Fault, SERVERS, SERVICE, SERVICES, SESSIONS};
use crate::support::DOMAINS;
use crate::trial::Trial;

async fn run_all(served: &'static [&'static str], faults: impl IntoIterator<Item = &Fault>) {
    let trial = Trial::start_serving(served).await;
    for fault in faults {
        trial.run(fault).await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_causes_no_wrong_answer_and_affects_no_other_flow() {
    // The server is killed, its sessions are ended, its disk is full; a row is duplicated, values are NULL.
    let behind = [&SERVERS[0], &SESSIONS[0], &SESSIONS[4], &DATA[2], &DATA[6], &DATA[10]];
    run_all(&["oms_db"], SERVICE.iter().chain(behind)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_services_that_fail_cause_no_wrong_answer_and_affect_no_other_flow() {
    // All servers are killed or frozen; a lock is held, a table is missing, a column is retyped.
    let behind = [&SERVERS[2], &SERVERS[3], &SESSIONS[3], &DATA[0], &DATA[1]];
    run_all(&DOMAINS, SERVICES.iter().chain(behind)).await;
}
