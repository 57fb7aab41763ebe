//! Effects happen exactly once, whatever fails meanwhile.
//!
//! Clients send requests with keys, and repeat each of them until it has an answer, as clients do. Meanwhile the service is killed every
//! second, relays of events are killed too, and one thing after the other goes wrong with the database that is written, down to its
//! replacement by its replica. Then the databases are compared with what the clients and the receiver of events have seen (`ledger`).

mod clients;
mod ledger;
mod mishaps;
mod site;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::Crowd;
use ledger::Ledger;
use mishaps::MISHAPS;
pub use site::Isolation;
use site::Site;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The replicas of the service.
    pub services: usize,
    /// The isolation of the transactions that write.
    pub isolation: Isolation,
    /// The clients.
    pub clients: usize,
    /// The keys that are sent at least.
    pub keys: usize,
    /// How long each mishap lasts.
    pub time: Duration,
}

/// What was found: lines of the table, and what is wrong.
pub struct Findings {
    /// What was counted.
    pub summary: String,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// Lets everything go wrong, over and over until so many keys have been sent, and checks the result. `print` gets each line of the table.
pub async fn prove(extent: Extent, print: impl Fn(&str)) -> Findings {
    let site = Arc::new(Site::start(extent.services, extent.isolation).await);
    let crowd = Crowd::start(&site, extent.clients);
    let killer = tokio::spawn(Arc::clone(&site).kill_services());
    print(&format!("{:<58} {:>6} {:>11}  answers that are not final", "meanwhile", "keys", "recovery ms"));
    let mut wrong = Vec::new();
    let mut mishaps = MISHAPS.iter().cycle();
    let mut turns = 0;
    while turns < MISHAPS.len() || crowd.ended() < extent.keys {
        let Some(mishap) = mishaps.next() else { break };
        turns += 1;
        let (before, problems, kills) = (crowd.ended(), crowd.problems(), site.kills());
        mishap.action.run(&site, extent.time).await;
        let over = Instant::now();
        let recovery = crowd.first_decision(over).await;
        let recovered = recovery.map_or_else(|| "never".to_owned(), |took| took.as_millis().to_string());
        let keys = crowd.ended() - before;
        let kills = site.kills() - kills;
        print(&format!(
            "{:<58} {keys:>6} {recovered:>11}  {} ({kills} kills)",
            mishap.name,
            crowd.problems().since(&problems)
        ));
        if recovery.is_none() {
            wrong.push(format!("{}: no recovery", mishap.name));
            break;
        }
    }
    site.stop_killing();
    killer.await.expect("no panic");
    let seen = crowd.end().await;
    let ledger = Ledger::read(&site).await;
    wrong.extend(ledger.judge(&seen));
    let deliveries = site.deliveries().await;
    wrong.extend(ledger.judge_deliveries(&deliveries));
    let summary = format!("{}\n{}\nrelays: {} deliveries", seen.summary(), ledger.summary(), deliveries.len());
    Findings { summary, wrong }
}
