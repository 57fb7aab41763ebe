//! The service beside the one written by hand, where something else than the shipped flow on plain connections
//! matters: flows over 2 to 16 domains, and TLS to the databases. And the service over services, beside itself over databases. `LOAD_SECONDS` for each measurement (default 2),
//! `LOAD_ROUNDS` measurements of each line (default 3); the reports are in `target/domains-report/` and
//! `target/tls-report/`.

use std::fmt::Write;
use std::time::Duration;

use crate::clients::{Target, ask};
use crate::databases::Databases;
use crate::growth::{self, Fleet, PRODUCTS};
use crate::process::{Process, Rival, wait_listening, wait_ready};
use crate::rival::Prepares;
use crate::sample::Sample;
use crate::{number, report, rounds};

/// The numbers of clients that are tried.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// The numbers of domains that are tried, one node each.
const DOMAINS: [usize; 4] = [2, 4, 8, 16];
/// The domains of the shipped flow, in the order in which they are moved.
const DOMAIN_NAMES: [&str; 4] = ["oms_db", "inventory_db", "supplier_db", "uom_db"];
/// Products in the databases with TLS, and in those without.
const SHIPPED_PRODUCTS: usize = 10_000;

const HEADER: &str = "| | clients | flows/s | by hand | x by hand | p50 ms | p50 x by hand | p99 ms | p99 x by hand | CPU us/flow | by hand | switches/flow | by hand | errors |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// Measures flows over several domains, each on a server of its own, and writes the report.
pub async fn domains() {
    let fleet = Fleet::servers(16).await;
    let graphs = tempfile::tempdir().expect("a directory");
    let mut text = HEADER.to_owned();
    for count in DOMAINS {
        let graph = graphs.path().join(format!("{count}.yaml"));
        std::fs::write(&graph, growth::flow("growth", count, count, false)).expect("written");
        let service = Process::serve(Some(&graph), "", &fleet.environment(count));
        let rival = Process::rival(Rival::Stock, &fleet.urls[..count], None);
        compare(&mut text, &format!("{count} domains"), ("/flows/growth", PRODUCTS), (&service, &rival)).await;
    }
    report::write("domains", &text);
}

/// Measures the shipped flow without and with TLS to the databases, and writes the report.
pub async fn tls() {
    let mut text = HEADER.to_owned();
    for (name, databases) in [
        ("without TLS", Databases::start(SHIPPED_PRODUCTS).await),
        ("with TLS", Databases::start_with_tls(SHIPPED_PRODUCTS).await),
    ] {
        let service = Process::service(&databases, "auto");
        let rival = Process::rival(Rival::Pooled(Prepares::Once), &databases.urls(), databases.certificate());
        compare(&mut text, name, ("/purchasing/flow", SHIPPED_PRODUCTS), (&service, &rival)).await;
    }
    report::write("tls", &text);
}

/// Measures the shipped flow with one domain, and with all four, served by `tributary domain`, beside the databases directly
/// (in the report: by hand).
pub async fn services() {
    let mut text = HEADER.to_owned();
    let databases = Databases::start(SHIPPED_PRODUCTS).await;
    let direct = Process::service(&databases, "auto");
    for moved in [1, DOMAIN_NAMES.len()] {
        let mut environment = databases.environment();
        let mut services = Vec::new();
        for name in &DOMAIN_NAMES[..moved] {
            let service = Process::domain(name, &databases.environment());
            wait_ready(service.address, "/readyz").await;
            let prefix = format!("{}_", name.to_uppercase());
            environment.retain(|(variable, _)| !variable.starts_with(&prefix));
            environment.push((format!("{prefix}URL"), format!("http://{}", service.address)));
            services.push(service);
        }
        let service = Process::serve(None, "", &environment);
        compare(&mut text, &format!("{moved} services"), ("/purchasing/flow", SHIPPED_PRODUCTS), (&service, &direct))
            .await;
    }
    report::write("services", &text);
}

/// Adds a line for each number of clients; the two take turns in each round.
async fn compare(
    text: &mut String,
    name: &str,
    (path, products): (&'static str, usize),
    (service, rival): (&Process, &Process),
) {
    let time = Duration::from_secs(number("LOAD_SECONDS", 2) as u64);
    wait_ready(service.address, "/readyz").await;
    wait_listening(rival.address).await;
    for clients in CLIENTS {
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..rounds() {
            for (process, samples) in [service, rival].into_iter().zip(&mut samples) {
                let target = Target::new(process.address, path, products);
                ask(&target, clients, Duration::from_millis(500)).await;
                samples.push(Sample::take(process, &target, clients, time).await);
            }
        }
        let [own, hand] = samples.map(|samples| Sample::median(&samples));
        let line = format!(
            "| {name} | {clients} | {:.0} | {:.0} | {:.2} | {:.3} | {:.2} | {:.3} | {:.2} | {:.1} | {:.1} | {:.2} | {:.2} | {} |",
            own.rate,
            hand.rate,
            own.rate / hand.rate,
            own.p50,
            own.p50 / hand.p50,
            own.p99,
            own.p99 / hand.p99,
            own.cpu,
            hand.cpu,
            own.switches,
            hand.switches,
            own.failures.total() + hand.failures.total(),
        );
        println!("{line}");
        writeln!(text, "{line}").expect("text");
    }
}
