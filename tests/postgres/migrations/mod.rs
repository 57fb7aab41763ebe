//! No answer is wrong while a loop migrates the schema under load, and queries go together again afterwards.
//!
//! After each change the queries are asked of PostgreSQL with nothing in between: that is what they may answer in that version,
//! which lives from the moment its change was sent until the next change is done. An answer of the service is right where it is,
//! column by column and name by name, the answer of a version that lived between request and response. An error is never
//! wrong: it says that there is no answer.
//!
//! `MIGRATION_SECONDS` says how long it takes (default: 60).

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

/// How long one set of queries is asked.
const ROUND: Duration = Duration::from_secs(20);
/// Answers about a family that are awaited between two changes of it.
const DWELLING: usize = 150;

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
    let (began, whole, mut histories) = (Instant::now(), duration(), Histories::default());
    let mut round = 0;
    while began.elapsed() < whole {
        round += 1;
        let load = Rc::new(Load::new(&domain.handle, questions(&mut random)));
        histories.begin(&oracle, &load.questions).await;
        let before = domain.handle.health().batches;
        let clients = load.start(&mut random);
        let end = Instant::now() + ROUND.min(whole.saturating_sub(began.elapsed()));
        while Instant::now() < end {
            migrate(&domain, &oracle, &load, &mut histories, &mut random).await;
        }
        load.stop(clients).await;
        histories.judge(&load);
        resumed(&domain, &load, &mut histories).await;
        let after = domain.handle.health().batches;
        let batched = after.queries - before.queries;
        println!(
            "round {round}, {} s: {}, {} singly because refused",
            began.elapsed().as_secs(),
            histories.summary(after.queries),
            after.uncoalesced - before.uncoalesced,
        );
        assert_eq!(batched > 0, coalescing() == Coalescing::Auto, "{batched} queries were coalesced");
    }
    let batches = domain.handle.health().batches;
    println!("in {} s {}", began.elapsed().as_secs(), histories.summary(batches.queries));
    assert!(histories.right * 2 > histories.requests, "most requests have an answer");
    domain.drain().await;
}

/// Changes one family, and undoes the change.
async fn migrate(domain: &Domain, oracle: &Oracle, load: &Load, histories: &mut Histories, random: &mut StdRng) {
    let family = random.random_range(0..FAMILIES.len());
    let (forward, back) = FAMILIES[family].changes.choose(random).expect("a change");
    load.focus.set(family);
    for (change, path) in [(forward, PATHS[1]), (back, PATHS[0])] {
        let began = Instant::now();
        oracle.change(change).await;
        if FAMILIES[family].keeps {
            oracle.change(&format!("SET search_path = {path}")).await;
            // Only a new session notices.
            domain.handle.recycle().await;
        }
        histories.changed(oracle, &load.questions, family, began).await;
        // Some changes follow at once, most when their versions have been read.
        if random.random_bool(0.75) {
            let answered = load.answers(family) + DWELLING;
            let until = Instant::now() + Duration::from_secs(2);
            while load.answers(family) < answered && Instant::now() < until {
                actix::clock::sleep(Duration::from_millis(5)).await;
            }
        }
        histories.judge(load);
    }
}

/// Each query goes together with its like again, and every answer is right.
async fn resumed(domain: &Domain, load: &Rc<Load>, histories: &mut Histories) {
    for (number, question) in load.questions.iter().enumerate() {
        if !histories.has_answers(load, number) {
            continue;
        }
        eventually(&format!("coalesced again: {}", question.text), async || {
            let errors = load.errors.borrow().clone();
            let together = load.burst(number).await;
            let is_whole = *load.errors.borrow() == errors;
            is_whole && (together > 1 || coalescing() == Coalescing::Off)
        })
        .await;
    }
    histories.judge(load);
    assert_eq!(domain.handle.health().in_flight, 0);
}
