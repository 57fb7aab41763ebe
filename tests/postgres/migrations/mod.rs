//! While the schema is migrated under load no answer is wrong, and queries are coalesced again afterwards.
//!
//! After each change the queries are run directly on PostgreSQL. Their answers are the expected ones of that version of the schema,
//! which is valid from the time its change was sent until the next change is done. An answer of the service is right if it equals,
//! with all columns and names, the expected answer of a version that was valid between request and response. An error is never
//! wrong.
//!
//! `MIGRATION_SECONDS` is the duration (default: 60).

mod load;
mod oracle;
mod schema;

use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tributary::config::Coalescing;

use self::load::{LIMIT, Load};
use self::oracle::{Histories, Oracle};
use self::schema::{FAMILIES, PATHS, SETUP, questions};
use crate::fixture::{Domain, config, database, eventually, shared_server};
use crate::support::coalescing;

/// The duration of a round with one set of queries.
const ROUND: Duration = Duration::from_secs(20);
/// The answers of a family to wait for between two changes of it.
const ANSWERS_PER_CHANGE: usize = 150;

fn duration() -> Duration {
    let seconds =
        std::env::var("MIGRATION_SECONDS").ok().map(|text| text.parse().expect("MIGRATION_SECONDS in seconds"));
    Duration::from_secs(seconds.unwrap_or(60))
}

#[actix::test]
async fn no_answer_is_wrong_while_the_schema_is_migrated_under_load() {
    let server = shared_server();
    let name = database(server, "migrated", SETUP).await;
    let oracle = Oracle::connect(&server.url(&name), &name).await;
    oracle.change(&format!("ALTER DATABASE {name} SET search_path = {}", PATHS[0])).await;
    let mut config = config(server, &name);
    (config.pool.max, config.timeouts.acquire) = (6, LIMIT);
    let domain = Domain::ready(config).await;
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (started, total, mut histories) = (Instant::now(), duration(), Histories::default());
    let mut round = 0;
    while started.elapsed() < total {
        round += 1;
        let load = Rc::new(Load::new(&domain.handle, questions(&mut random)));
        histories.begin(&oracle, &load.questions).await;
        let before = domain.handle.health().batches;
        let clients = load.start(&mut random);
        let end = Instant::now() + ROUND.min(total.saturating_sub(started.elapsed()));
        while Instant::now() < end {
            migrate(&domain, &oracle, &load, &mut histories, &mut random).await;
        }
        load.stop(clients).await;
        histories.judge(&load);
        coalesces_again(&domain, &load, &mut histories).await;
        let after = domain.handle.health().batches;
        let batched = after.queries - before.queries;
        println!(
            "round {round}, {} s: {}, {} singly because rejected",
            started.elapsed().as_secs(),
            histories.summary(after.queries),
            after.uncoalesced - before.uncoalesced,
        );
        assert_eq!(batched > 0, coalescing() == Coalescing::Auto, "{batched} queries were coalesced");
    }
    let batches = domain.handle.health().batches;
    println!("in {} s {}", started.elapsed().as_secs(), histories.summary(batches.queries));
    assert!(histories.right * 2 > histories.requests, "most requests have an answer");
    domain.drain().await;
}

/// Changes one family, and undoes the change.
async fn migrate(domain: &Domain, oracle: &Oracle, load: &Load, histories: &mut Histories, random: &mut StdRng) {
    let family = random.random_range(0..FAMILIES.len());
    let (forward, back) = FAMILIES[family].changes.choose(random).expect("a change");
    load.focus.set(family);
    for (change, path) in [(forward, PATHS[1]), (back, PATHS[0])] {
        let sent = Instant::now();
        oracle.change(change).await;
        if FAMILIES[family].keeps {
            oracle.change(&format!("SET search_path = {path}")).await;
            // The setting applies to new sessions.
            domain.handle.recycle();
        }
        histories.changed(oracle, &load.questions, family, sent).await;
        // Some changes follow immediately, most after answers of the new version.
        if random.random_bool(0.75) {
            let answered = load.answers(family) + ANSWERS_PER_CHANGE;
            let until = Instant::now() + Duration::from_secs(2);
            while load.answers(family) < answered && Instant::now() < until {
                actix::clock::sleep(Duration::from_millis(5)).await;
            }
        }
        histories.judge(load);
    }
}

/// Waits until every query is coalesced again and every answer is right.
async fn coalesces_again(domain: &Domain, load: &Rc<Load>, histories: &mut Histories) {
    for (number, question) in load.questions.iter().enumerate() {
        if !histories.has_answers(load, number) {
            continue;
        }
        eventually(&format!("coalesced again: {}", question.text), async || {
            let errors = load.errors.borrow().clone();
            let together = load.burst(number).await;
            let has_no_error = *load.errors.borrow() == errors;
            has_no_error && (together > 1 || coalescing() == Coalescing::Off)
        })
        .await;
    }
    histories.judge(load);
    assert_eq!(domain.handle.health().in_flight, 0);
}
