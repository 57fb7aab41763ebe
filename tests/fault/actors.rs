//! Actors that panic, and rules that never end.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::interval;
use tributary::actors::domain::Fault;
use tributary::types::{Deadline, DomainName};

use crate::load::{Load, Verdict, problems, wrong};
use crate::support::DOMAINS;
use crate::trial::Trial;

const PANICS: usize = 30;
/// How long a replaced actor may take to serve on a slow machine.
const REPLACEMENT_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_panics_of_actors_cause_no_wrong_answer_and_few_errors() {
    let trial = Trial::start().await;
    let start = Instant::now();
    let before: Vec<_> = restarts(&trial).await;
    let mut clock = interval(Duration::from_millis(100));
    for round in 0..PANICS {
        clock.tick().await;
        // On a slow machine, too, all four serve and some answers arrive between two rounds.
        trial.load.first_right(Instant::now()).await.expect("the service answers between two rounds");
        for domain in DOMAINS {
            let domain = DomainName::parse(domain).expect("a name");
            let handle = trial.app.domains.get(&domain).expect("the domain is served");
            // The machine only affects how quickly a replaced actor has its connections.
            handle.wait_ready(Deadline::after(REPLACEMENT_TIMEOUT)).await.expect("the actor was replaced");
            handle.inject(if round % 2 == 0 { Fault::PanicInActor } else { Fault::PanicInWorkers });
        }
    }
    for (before, after) in before.into_iter().zip(restarts(&trial).await) {
        assert!(after > before, "no actor was replaced: {before}, {after}");
    }
    let last_panic = Instant::now();
    trial.load.first_right(last_panic).await.expect("the service answers");
    trial.check_unrelated("panics", start);
    let answers = trial.end().await;
    assert_eq!(wrong(&answers), [""; 0]);
    let problems = problems(&answers);
    // The connections of an actor that died keep their places until they are closed, so on a slow machine all may be taken.
    for (code, _) in problems.keys() {
        assert!(
            ["domain_unavailable", "domain_overloaded", "connection_lost", "timeout"].contains(&code.as_str()),
            "{problems:?}"
        );
    }
    // Every request reaches an actor that has just died, and waits for its replacement. The number of timeouts depends on the
    // machine, but most requests succeed on any.
    let failed: usize = problems.values().sum();
    assert!(failed * 2 < answers.len(), "{failed} of {} failed: {problems:?}", answers.len());
}

async fn restarts(trial: &Trial) -> Vec<u64> {
    let mut found = Vec::new();
    for domain in DOMAINS {
        let health = trial.app.get(&format!("/health/{domain}")).await.json();
        found.push(health["restarts"].as_u64().expect("the restarts"));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_never_ends_is_stopped_and_named_and_other_rules_are_unaffected() {
    let trial = Trial::start().await;
    let start = Instant::now();
    let endless = Load::start(4, &trial.app.client, trial.app.address, "/endless", |_| {
        let judge = |status, text: &str| match (status, text.contains("rule_error") && text.contains("Climb")) {
            (500, true) => Verdict::Right,
            _ => Verdict::Wrong(format!("{status} {text}")),
        };
        (json!({ "n": 1 }), Box::new(judge))
    });
    let enough = endless.until(start, Duration::from_secs(10), |answers| answers.len() >= 200).await;
    let answers = endless.stop().await;
    assert_eq!(wrong(&answers), [""; 0]);
    assert!(enough, "only {} answers", answers.len());
    trial.check_unrelated("endless rules", start);
    let answers = trial.end().await;
    assert!(
        answers.iter().all(|answer| answer.verdict == Verdict::Right),
        "{:?} {:?}",
        wrong(&answers),
        problems(&answers)
    );
}
