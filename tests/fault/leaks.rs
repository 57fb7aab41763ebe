//! Many rounds of faults leak no resources.

use std::fs;
use std::time::{Duration, Instant};

use crate::faults::{Fault, NETWORKS, SERVERS, SESSIONS};
use crate::rig::wait_ready;
use crate::support::{DOMAINS, eventually_async};
use crate::trial::Trial;

const ROUNDS: usize = 6;
/// The most connections of a domain, including the probe's.
const CONNECTIONS: i64 = 21;
/// The most growth of memory over all rounds, for fragmentation and the test's record of answers.
const GROWTH_KB: u64 = 32 * 1024;

#[derive(Debug)]
struct Held {
    threads: u64,
    files: usize,
    memory_kb: u64,
}

fn held() -> Held {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let files = fs::read_dir("/proc/self/fd").expect("/proc/self/fd").count();
    Held { threads: number("Threads:"), files, memory_kb: number("VmRSS:") }
}

async fn round(trial: &Trial) {
    let faults: [&Fault; 4] = [&SERVERS[2], &NETWORKS[6], &SESSIONS[1], &SERVERS[0]];
    for fault in faults {
        let start = Instant::now();
        let held = fault.inject(&trial.rig).await;
        let has_answers = trial.load.until(start, Duration::from_secs(5), |answers| answers.len() >= 40).await;
        assert!(has_answers, "{}: no answers", fault.name);
        fault.undo(&trial.rig, held).await;
        trial.load.first_right(Instant::now()).await.expect("the service answers again");
        wait_ready(&trial.app.client, trial.app.address).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rounds_of_faults_leak_no_connection_thread_file_or_memory() {
    let trial = Trial::start().await;
    round(&trial).await;
    let before = held();
    for _ in 0..ROUNDS {
        round(&trial).await;
    }
    for domain in DOMAINS {
        let few = async || trial.rig.sessions(domain).await <= CONNECTIONS;
        eventually_async("the server has no more sessions than the pool may hold", few).await;
        let here = i64::try_from(trial.rig.family.proxy(domain).connections()).expect("few");
        assert!(here <= CONNECTIONS, "{domain}: {here} connections are open");
    }
    // The number of connections varies: at most 20 in each of four pools, with two more ends each in this process's proxies.
    let most_files = before.files + 4 * 20 * 3;
    eventually_async("no file and no thread is leaked", async || {
        let now = held();
        now.threads <= before.threads + 2 && now.files <= most_files
    })
    .await;
    let after = held();
    assert!(after.memory_kb <= before.memory_kb + GROWTH_KB, "{before:?}, then {after:?}");
    trial.end().await;
}
