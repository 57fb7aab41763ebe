//! The short form of what `scripts/chaos once` proves.

use std::time::Duration;

use crate::once::{Extent, Isolation, prove};
use crate::trial::exclusive;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_happen_exactly_once_whatever_fails() {
    let _exclusive = exclusive().await;
    let time = Duration::from_millis(600);
    let extent = Extent { services: 2, isolation: Isolation::ReadCommitted, clients: 12, keys: 300, time };
    let findings = prove(extent, |line| println!("{line}")).await;
    assert_eq!(findings.wrong, [""; 0], "{}", findings.summary);
}
