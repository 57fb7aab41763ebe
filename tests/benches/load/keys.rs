//! What a query costs its database by itself, and in a statement for several keys, as the service sends waiting queries: the
//! processor time of the server's processes. `LOAD_SECONDS` for each measurement (default 2), `LOAD_ROUNDS` measurements of each line
//! (default 3); the report is in `target/keys-report/`.

use std::fmt::Write;
use std::time::Duration;

use crate::databases::{Databases, Pgbench};
use crate::sample::median;
use crate::server::Server;
use crate::{number, report, rounds};

/// Keys in one statement; 0 is the query by itself.
const KEYS: [usize; 6] = [0, 1, 4, 16, 64, 256];
const CLIENTS: usize = 2;
const QUERY: &str =
    "SELECT product_id, available_qty, reserved_qty, warehouse_location FROM inventory WHERE product_id =";

/// Measures and writes the report.
pub async fn measure() {
    let products = number("LOAD_PRODUCTS", 100_000);
    let time = Duration::from_secs(number("LOAD_SECONDS", 2) as u64);
    let databases = Databases::start(products).await;
    let (_, server) = databases.servers.iter().find(|(name, _)| name == "INVENTORY_DB_URL").expect("the server");
    let mut measured = KEYS.map(|_| Vec::new());
    for _ in 0..rounds() {
        for (keys, costs) in KEYS.into_iter().zip(&mut measured) {
            costs.push(cost(server, &statement(keys, products), time));
        }
    }
    let mut out = format!("{CLIENTS} connections, {products} products, medians of {} rounds:\n\n", rounds());
    out.push_str("| keys in a statement | CPU us/statement | CPU us/key |\n|---:|---:|---:|\n");
    for (keys, costs) in KEYS.into_iter().zip(measured) {
        let (name, cost) =
            (if keys == 0 { "the query by itself".to_owned() } else { keys.to_string() }, median(costs.into_iter()));
        #[allow(clippy::cast_precision_loss, reason = "a few keys")]
        writeln!(out, "| {name} | {cost:.1} | {:.1} |", cost / keys.max(1) as f64).expect("text");
    }
    report::write("keys", &out);
}

/// The query for one key, or the form that `src/postgres/coalesce/wrapped.rs` gives it.
fn statement(keys: usize, products: usize) -> String {
    // Far apart, as those of different requests are.
    let key = |number: usize| format!("B-{:06}", (number * 7_919 + 1) % products + 1);
    if keys == 0 {
        return format!("{QUERY} '{}';\n", key(0));
    }
    let list: Vec<String> = (0..keys).map(key).collect();
    format!(
        "SELECT tributary_batch.tributary_ord, tributary_rows.* \
         FROM ROWS FROM (pg_catalog.unnest((SELECT '{{{}}}'::pg_catalog.varchar[]))) \
         WITH ORDINALITY AS tributary_batch (tributary_p1, tributary_ord) \
         CROSS JOIN LATERAL ({QUERY} tributary_batch.tributary_p1) AS tributary_rows;\n",
        list.join(",")
    )
}

/// The processor time of a statement, in microseconds.
fn cost(server: &Server, statement: &str, time: Duration) -> f64 {
    let before = processor_time(server);
    let run = Pgbench::start(&server.url("inventory_db"), statement, CLIENTS, time).expect("pgbench");
    let statements = run.finish().expect("its figures").statements;
    // The time of a session counts once it has ended.
    std::thread::sleep(Duration::from_millis(300));
    processor_time(server).saturating_sub(before).as_secs_f64() * 1e6 / statements
}

/// What the sessions that have ended have used (proc(5): `cutime` and `cstime` of their parent).
fn processor_time(server: &Server) -> Duration {
    let pid = std::fs::read_to_string(server.data_dir().join("postmaster.pid")).expect("its process");
    let pid = pid.lines().next().expect("a number");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its times");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[13..15].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    // Linux counts in hundredths of a second.
    Duration::from_millis(ticks * 10)
}
