//! What an effect costs: requests with a key, each of which places an order once, beside two services written by hand that make the same
//! decision. The one does the same in its transaction: the order, its event, and the answer with its key. The other inserts the order
//! only, again if it is asked again. The service and one by hand are measured without orders as well.
//! Servers sync their data (`TMPDIR` says where), with `synchronous_commit` on and off. `LOAD_SECONDS` for each measurement (default
//! 2), `LOAD_ROUNDS` measurements of each line (default 3); the report is in `target/effects-report/`.

use std::fmt::Write;
use std::time::Duration;

use tributary::demo::{DATABASES, WRITER};

use crate::clients::{Target, ask};
use crate::databases::Databases;
use crate::process::{Process, Rival, wait_listening, wait_ready};
use crate::rival::{Prepares, Writes};
use crate::sample::Sample;
use crate::server::sql;
use crate::{number, report, rounds};

const CLIENTS: [usize; 3] = [1, 8, 32];
const PRODUCTS: usize = 10_000;
/// Servers whose commits survive a crash of the machine.
const DURABLE: [(&str, &str); 4] =
    [("max_connections", "200"), ("shared_buffers", "64MB"), ("fsync", "on"), ("full_page_writes", "on")];
const HEADER: &str = "| synchronous_commit | clients | orders/s | by hand, once | x by hand, once | by hand, order only | x by hand, order only | p50 ms | by hand, once | p99 ms | by hand, once | CPU us/order | by hand, once | decisions/s | by hand | x by hand | errors |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n";

/// Measures and writes the report.
pub async fn measure() {
    let time = Duration::from_secs(number("LOAD_SECONDS", 2) as u64);
    let databases = Databases::start_with(&DURABLE, PRODUCTS).await;
    let mut text = HEADER.to_owned();
    prepare(&databases).await;
    let mut environment = databases.environment();
    environment.push(("OMS_DB_WRITE_USER".to_owned(), WRITER.to_owned()));
    for synchronous in ["on", "off"] {
        let url = databases.servers[0].1.url("oms_db");
        let setting = format!("ALTER DATABASE oms_db SET synchronous_commit = {synchronous}");
        sql::run(&url, "the setting", &setting).await.expect("set");
        let service = Process::serve(None, "", &environment);
        let rivals = [Rival::Writing(Writes::OrderOnce), Rival::Writing(Writes::Order), Rival::Pooled(Prepares::Once)];
        let [once, order, reading] = rivals.map(|rival| Process::rival(rival, &databases.urls(), None));
        wait_ready(service.address, "/readyz").await;
        for rival in [&once, &order, &reading] {
            wait_listening(rival.address).await;
        }
        for clients in CLIENTS {
            let sides = [(&service, true), (&once, true), (&order, true), (&service, false), (&reading, false)];
            let samples = compare(sides, clients, time).await;
            let line = line(synchronous, clients, &samples);
            println!("{line}");
            writeln!(text, "{line}").expect("text");
        }
    }
    report::write("effects", &text);
}

/// Has every product ordered without an approval, by the role that writes.
async fn prepare(databases: &Databases) {
    let run = async |place: usize, statements: &str| {
        let url = databases.servers[place].1.url(&DATABASES[place].name);
        sql::run(&url, "the rows", statements).await.expect("changed");
    };
    run(0, &format!("CREATE ROLE {WRITER} LOGIN; {}", DATABASES[0].grants)).await;
    // VACUUM needs a request of its own.
    for (place, table, change) in [(1, "inventory", "available_qty = 0"), (2, "suppliers", "unit_price = 2")] {
        run(place, &format!("UPDATE {table} SET {change}")).await;
        run(place, &format!("VACUUM FULL {table}")).await;
    }
}

/// The medians of all sides, which take turns.
async fn compare(sides: [(&Process, bool); 5], clients: usize, time: Duration) -> [Sample; 5] {
    let mut samples = [const { Vec::new() }; 5];
    for _ in 0..rounds() {
        for ((process, has_keys), samples) in sides.iter().zip(&mut samples) {
            let target = Target::new(process.address, "/purchasing/flow", PRODUCTS);
            let target = Target { has_keys: *has_keys, ..target };
            ask(&target, clients, Duration::from_millis(500)).await;
            samples.push(Sample::take(process, &target, clients, time).await);
        }
    }
    samples.map(|samples| Sample::median(&samples))
}

fn line(synchronous: &str, clients: usize, [own, hand, order, decided, read]: &[Sample; 5]) -> String {
    let mut errors = own.failures.clone();
    [hand, order, decided, read].iter().for_each(|sample| errors.add(&sample.failures));
    format!(
        "| {synchronous} | {clients} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {errors} |",
        own.rate,
        hand.rate,
        own.rate / hand.rate,
        order.rate,
        own.rate / order.rate,
        own.p50,
        hand.p50,
        own.p99,
        hand.p99,
        own.cpu,
        hand.cpu,
        decided.rate,
        read.rate,
        decided.rate / read.rate,
    )
}
