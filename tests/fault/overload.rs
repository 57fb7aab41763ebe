//! Ten times the load that the service can carry.

use std::time::{Duration, Instant};

use crate::support::{Database, Setup, TestApp, connect};
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

    // Its connections are made before: what is measured is what it does with those.
    let first = (0..AT_ONCE).map(|_| ask(app.client.clone(), app.url("/flows/slow"), Instant::now(), EACH));
    futures_util::future::join_all(first).await;
    let start = Instant::now();
    // Beside them somebody asks for nothing but a sign of life, and somebody the database itself for the same: what takes them
    // longer, the machine takes and not the service.
    let life = tokio::spawn(ask_for_life(app.client.clone(), app.url("/livez"), start));
    let bare = tokio::spawn(ask_the_database(connect(&database.url()).await, start));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(ask(app.client.clone(), app.url("/flows/slow"), start, LASTING))).collect();
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for client in clients {
        for (status, took) in client.await.expect("every answer is served or refused properly") {
            if status == 200 { &mut served } else { &mut refused }.push(took);
        }
    }
    let (mut life, mut bare) = (life.await.expect("signs of life"), bare.await.expect("answers"));
    for times in [&mut served, &mut refused, &mut life, &mut bare] {
        times.sort();
    }
    let p95 = |times: &[Duration]| times[times.len() * 95 / 100];
    let (busy, bare) = (p95(&life), p95(&bare));
    let possible = AT_ONCE * usize::try_from(LASTING.as_millis() / bare.as_millis()).expect("few");
    assert!(served.len() >= possible / 2, "only {} of {possible} were served", served.len());
    assert!(refused.len() > served.len(), "{} served, {} refused", served.len(), refused.len());
    assert!(p95(&served) < bare * 2 + busy, "the served took {:?}, the query alone {bare:?}", p95(&served));
    let most = Duration::from_millis(150) + busy;
    assert!(p95(&refused) < most, "refusing took {:?}, a sign of life {busy:?}", p95(&refused));
}

/// How long the query takes without the service, again and again.
async fn ask_the_database(client: tokio_postgres::Client, start: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while start.elapsed() < LASTING {
        let asked = Instant::now();
        client.batch_execute("SELECT pg_sleep(0.2)").await.expect("an answer");
        times.push(asked.elapsed());
    }
    times
}

/// How long signs of life take, one after the other.
async fn ask_for_life(client: reqwest::Client, url: String, start: Instant) -> Vec<Duration> {
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

/// Asks until the time is over, ten times a service's time apart where it is refused.
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
        tokio::time::sleep((EACH).saturating_sub(asked.elapsed())).await;
    }
    answers
}
