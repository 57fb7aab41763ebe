//! A domain moves from its database to a service and back, by one variable and a reload, while clients decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Answer, DOMAINS, SampleDatabases, Setup, TestApp, repository};

const TOKEN: &str = "planted-admin-token";
const CLIENTS: usize = 16;
const PRODUCTS: [&str; 3] = ["PROD-001", "PROD-002", "PROD-003"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domains_move_to_services_and_back_under_load_without_a_failed_request() {
    let databases = SampleDatabases::create().await;
    let services =
        DOMAINS.map(|domain| (domain, TestApp::start(Setup::shipped().on(&databases).answering_for(domain))));
    for (_, service) in &services {
        service.wait_for("/readyz", 200).await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let env_file = directory.path().join(".env");
    // The domains of `moved` are services.
    let write = |moved: &[&str]| {
        let lines = services.iter().map(|(domain, service)| {
            let url = if moved.contains(domain) { service.url("") } else { databases.url(domain) };
            format!("{}_URL=\"{url}\"\n", domain.to_uppercase())
        });
        std::fs::write(&env_file, lines.collect::<String>()).expect("written");
    };
    write(&[]);
    let graphs = vec![repository().join("graph.yaml")];
    let setup = Setup { graphs, env_file: Some(env_file.clone()), ..Setup::default() };
    let app = Arc::new(TestApp::start(setup.set("ADMIN_TOKEN", TOKEN)));
    app.wait_for("/readyz", 200).await;
    let mut expected = Vec::new();
    for product in PRODUCTS {
        let answer = app.purchasing(product).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        expected.push(answer.text);
    }

    let stop = Arc::new(AtomicBool::new(false));
    let client = |first: usize| {
        let (app, stop, expected) = (Arc::clone(&app), Arc::clone(&stop), expected.clone());
        tokio::spawn(async move {
            let mut asked = 0;
            while !stop.load(Ordering::SeqCst) {
                let turn = (first + asked) % PRODUCTS.len();
                let answer = app.purchasing(PRODUCTS[turn]).await;
                assert_eq!((answer.status, &answer.text), (200, &expected[turn]));
                asked += 1;
            }
            asked
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    for moved in [&["oms_db"][..], &[], &DOMAINS, &["uom_db", "supplier_db"], &DOMAINS, &[]] {
        write(moved);
        let answer: Answer = TestApp::answer(app.client.post(app.url("/admin/reload")).bearer_auth(TOKEN)).await;
        assert_eq!(answer.status, 200, "{moved:?}: {}", answer.text);
        for _ in 0..20 {
            app.purchasing("PROD-001").await;
        }
        for (domain, service) in &services {
            let health = app.get(&format!("/health/{domain}")).await.json();
            // Only databases have a version.
            assert_eq!(health["server_version"].is_null(), moved.contains(domain), "{}: {health}", service.address);
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut asked = 0;
    for client in clients {
        asked += client.await.expect("every answer is the same");
    }
    assert!(asked > 200, "there was load: {asked}");
}
