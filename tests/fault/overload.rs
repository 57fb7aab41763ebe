//! Ten times the load that the service can carry.

use std::time::{Duration, Instant};

use crate::support::{Database, Setup, TestApp};
use crate::trial::alone;

/// Decisions under way at once, and how long each takes: 40 a second.
const AT_ONCE: usize = 8;
const EACH: Duration = Duration::from_millis(200);
const CLIENTS: usize = 10 * AT_ONCE;
const LASTING: Duration = Duration::from_secs(3);

const GRAPH: &str = r#"
flow: slow
input: { id: { type: integer } }
nodes:
  nap: { type: DBNode, database: slow_db, query: "SELECT $1::int AS id FROM pg_sleep(0.2)", params: [id] }
outcomes: [{ status: rested, when: "nap.id == input.id", message: "rested" }]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_load_is_refused_quickly_and_what_is_served_keeps_its_latency() {
    let _alone = alone().await;
    let database = Database::empty().await;
    let files = tempfile::tempdir().expect("a directory");
    let (graph, config) = (files.path().join("graph.yaml"), files.path().join("service.yaml"));
    std::fs::write(&graph, GRAPH).expect("the file is written");
    std::fs::write(&config, format!("http: {{ max_in_flight: {AT_ONCE} }}\n")).expect("the file is written");
    let setup = Setup { graphs: vec![graph], config: Some(config), ..Setup::default() };
    let app = TestApp::start(setup.domain("slow_db", &database.url()));
    app.wait_for("/readyz", 200).await;

    let start = Instant::now();
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(ask(app.client.clone(), app.url("/flows/slow"), start))).collect();
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for client in clients {
        for (status, took) in client.await.expect("every answer is served or refused properly") {
            if status == 200 { &mut served } else { &mut refused }.push(took);
        }
    }
    served.sort();
    refused.sort();
    let p95 = |times: &[Duration]| times[times.len() * 95 / 100];
    let possible = AT_ONCE * usize::try_from(LASTING.as_millis() / EACH.as_millis()).expect("few");
    assert!(served.len() >= possible / 2, "only {} of {possible} were served", served.len());
    assert!(refused.len() > served.len(), "{} served, {} refused", served.len(), refused.len());
    assert!(p95(&served) < EACH * 2, "the served took {:?}", p95(&served));
    assert!(p95(&refused) < Duration::from_millis(150), "refusing took {:?}", p95(&refused));
}

/// Asks until the time is over, ten times a service's time apart where it is refused.
async fn ask(client: reqwest::Client, url: String, start: Instant) -> Vec<(u16, Duration)> {
    let mut answers = Vec::new();
    while start.elapsed() < LASTING {
        let asked = Instant::now();
        let response = client.post(&url).json(&serde_json::json!({ "id": 1 })).send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a whole answer");
        answers.push((status, asked.elapsed()));
        match status {
            200 => assert!(text.contains("rested"), "{text}"),
            503 => {
                assert!(text.contains(r#""code":"overloaded""#), "{text}");
                assert!(headers.contains_key("retry-after"), "no Retry-After: {text}");
            }
            _ => panic!("{status} {text}"),
        }
        tokio::time::sleep((EACH).saturating_sub(asked.elapsed())).await;
    }
    answers
}
