//! Databases that die, hang and lie.

use crate::faults::{DATA, Fault, NETWORKS, SERVERS, SESSIONS};
use crate::trial::Trial;

async fn one_after_the_other(faults: &[Fault]) {
    let trial = Trial::start().await;
    for fault in faults {
        trial.suffer(fault).await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_die_or_hang_make_no_answer_wrong_and_disturb_no_other_flow() {
    one_after_the_other(&SERVERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_that_fail_make_no_answer_wrong_and_disturb_no_other_flow() {
    one_after_the_other(&NETWORKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_do_not_serve_make_no_answer_wrong_and_disturb_no_other_flow() {
    one_after_the_other(&SESSIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_is_not_what_it_was_makes_no_answer_wrong_and_disturbs_no_other_flow() {
    one_after_the_other(&DATA).await;
}
