//! Ten times the load that the service can handle.

use std::time::{Duration, Instant};

use crate::support::{Database, Setup, TestApp, connect};
use crate::trial::exclusive;

/// The concurrent decisions and the duration of each: 40 a second.
const CONCURRENT: usize = 8;
const EACH: Duration = Duration::from_millis(200);
const CLIENTS: usize = 10 * CONCURRENT;
const LASTING: Duration = Duration::from_secs(3);

const GRAPH: &str = r#"
flow: slow
input: { id: { type: integer } }
nodes:
  nap: { type: DBNode, database: slow_db, query: "SELECT $1::int AS id FROM pg_sleep(0.2)", params: [id] }
outcomes: [{ status: rested, when: "nap.id == input.id", message: "rested" }]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn excess_load_is_rejected_quickly_and_admitted_requests_keep_their_latency() {
    let _exclusive = exclusive().await;
    let database = Database::empty().await;
    let files = tempfile::tempdir().expect("a directory");
    let (graph, config) = (files.path().join("graph.yaml"), files.path().join("service.yaml"));
    std::fs::write(&graph, GRAPH).expect("the file is written");
    std::fs::write(&config, format!("http: {{ max_in_flight: {CONCURRENT} }}\n")).expect("the file is written");
    let setup = Setup { graphs: vec![graph], config: Some(config), ..Setup::default() };
    let app = TestApp::start(setup.domain("slow_db", &database.url()));
    app.wait_for("/readyz", 200).await;

    // Connections are made before the measurement.
    let first = (0..CONCURRENT).map(|_| ask(app.client.clone(), app.url("/flows/slow"), Instant::now(), EACH));
    futures_util::future::join_all(first).await;
    let start = Instant::now();
    // For comparison one client requests `/livez`, and one sends the query to the database directly: their delays are those of the
    // machine.
    let life = tokio::spawn(request_livez(app.client.clone(), app.url("/livez"), start));
    let bare = tokio::spawn(query_directly(connect(&database.url()).await, start));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(ask(app.client.clone(), app.url("/flows/slow"), start, LASTING))).collect();
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for client in clients {
        for (status, took) in client.await.expect("every request is served or rejected properly") {
            if status == 200 { &mut served } else { &mut refused }.push(took);
        }
    }
    let (mut life, mut bare) = (life.await.expect("answers"), bare.await.expect("answers"));
    for times in [&mut served, &mut refused, &mut life, &mut bare] {
        times.sort();
    }
    let p95 = |times: &[Duration]| times[times.len() * 95 / 100];
    let (busy, bare) = (p95(&life), p95(&bare));
    let possible = CONCURRENT * usize::try_from(LASTING.as_millis() / bare.as_millis()).expect("few");
    assert!(served.len() >= possible / 2, "only {} of {possible} were served", served.len());
    assert!(refused.len() > served.len(), "{} served, {} refused", served.len(), refused.len());
    assert!(p95(&served) < bare * 2 + busy, "served requests took {:?}, the query itself {bare:?}", p95(&served));
    let most = Duration::from_millis(150) + busy;
    assert!(p95(&refused) < most, "rejections took {:?}, /livez {busy:?}", p95(&refused));
}

/// The durations of the query without the service.
async fn query_directly(client: tokio_postgres::Client, start: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while start.elapsed() < LASTING {
        let asked = Instant::now();
        client.batch_execute("SELECT pg_sleep(0.2)").await.expect("an answer");
        times.push(asked.elapsed());
    }
    times
}

/// The durations of requests to `/livez`.
async fn request_livez(client: reqwest::Client, url: String, start: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while start.elapsed() < LASTING {
        let asked = Instant::now();
        let response = client.get(&url).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        times.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    times
}

/// Sends requests until the time is over, at the interval of [`EACH`].
async fn ask(client: reqwest::Client, url: String, start: Instant, lasting: Duration) -> Vec<(u16, Duration)> {
    let mut answers = Vec::new();
    while start.elapsed() < lasting {
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
        tokio::time::sleep(EACH.saturating_sub(asked.elapsed())).await;
    }
    answers
}
