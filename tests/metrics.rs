//! What the service tells Prometheus is what happened.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "tests fail by panicking, and counts are whole numbers"
)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use support::{SampleDatabases, Setup, TestApp, connect, copy_shipped, eventually_async, repository};
use tributary::actors::domain::Fault;
use tributary::types::DomainName;

/// A scrape: samples by name and labels, as they are written.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(app: &TestApp) -> Self {
        let answer = app.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.headers["content-type"].to_str().expect("text").starts_with("text/plain; version=0.0.4"));
        let samples = answer.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let samples = samples.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    fn get(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("no {sample} among {:#?}", self.0.keys()))
    }
}

#[actix_web::test]
async fn decisions_nodes_queries_rules_and_states_are_counted() {
    let databases = SampleDatabases::create().await;
    let app = TestApp::start(Setup::shipped().on(&databases));
    app.wait_for("/readyz", 200).await;
    let decided = "tributary_decisions_total{code=\"\",flow=\"purchasing\",outcome=\"success\"}";
    let missing = "tributary_decisions_total{code=\"not_found\",flow=\"purchasing\",outcome=\"error\"}";
    let before = Scrape::of(&app).await;
    assert_eq!((before.get(decided), before.get(missing)), (0.0, 0.0), "every label is there from the start");

    for product in ["PROD-001", "PROD-002", "PROD-003", "PROD-404"] {
        app.purchasing(product).await;
    }
    let after = Scrape::of(&app).await;
    assert_eq!((after.get(decided), after.get(missing)), (3.0, 1.0));
    for (sample, expected) in [
        ("tributary_decision_duration_seconds_count{flow=\"purchasing\"}", 4.0),
        ("tributary_node_duration_seconds_count{flow=\"purchasing\",node=\"rule_engine\"}", 3.0),
        ("tributary_domain_state{domain=\"oms_db\",state=\"ready\"}", 1.0),
        ("tributary_domain_state{domain=\"oms_db\",state=\"down\"}", 0.0),
        ("tributary_domain_restarts_total{domain=\"oms_db\"}", 0.0),
        ("tributary_pool_connections_limit{domain=\"oms_db\"}", 20.0),
        ("tributary_decisions_in_flight", 0.0),
        ("tributary_decisions_in_flight_limit", 1024.0),
        ("tributary_http_responses_total{status=\"404\"}", 1.0),
    ] {
        assert_eq!(after.get(sample), expected, "{sample}");
    }
    assert!(after.get("tributary_query_duration_seconds_count{domain=\"oms_db\"}") >= 3.0);
    assert!(after.get("tributary_query_duration_seconds_sum{domain=\"oms_db\"}") > 0.0);
    let fired: f64 =
        after.0.iter().filter(|(name, _)| name.starts_with("tributary_rules_fired_total")).map(|(_, n)| n).sum();
    assert!(fired >= 6.0, "{fired}");

    assert_eq!(after.get(&format!("tributary_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    let open = |state| after.get(&format!("tributary_pool_connections{{domain=\"oms_db\",state=\"{state}\"}}"));
    assert!(open("idle") + open("used") > 0.0, "a domain that is ready has connections");
    let figures = [
        "pool_waiting",
        "pool_timeouts_total",
        "domain_retry_seconds",
        "domain_in_flight",
        "queries_uncoalesced_total",
    ];
    for figure in figures {
        assert_eq!(after.get(&format!("tributary_{figure}{{domain=\"oms_db\"}}")), 0.0, "{figure}");
    }

    // Many at once: statements that stand for several queries, and each query counted once.
    // A machine that is busy with other things may not answer all of them in time, nor have them meet at once.
    let (mut answered, until) = (3_u32, Instant::now() + Duration::from_secs(60));
    let (busy, batches) = loop {
        let answers = join_all((0..100).map(|_| app.purchasing("PROD-001"))).await;
        answered += answers.iter().map(|answer| u32::from(answer.status == 200)).sum::<u32>();
        let busy = Scrape::of(&app).await;
        assert_eq!(busy.get(decided), f64::from(answered));
        let batches = busy.get("tributary_query_batch_size_count{domain=\"oms_db\"}");
        if batches > 0.0 {
            break (busy, batches);
        }
        assert!(Instant::now() < until, "{answered} were answered, and no two together");
    };
    let queries = busy.get("tributary_query_batch_size_sum{domain=\"oms_db\"}");
    assert!(queries >= 2.0 * batches, "{batches} batches of {queries} queries");
    assert_eq!(batches, busy.get("tributary_query_batch_size_bucket{domain=\"oms_db\",le=\"+Inf\"}"));
    assert!(busy.get("tributary_query_wait_seconds_sum{domain=\"oms_db\"}") > 0.0, "some have waited");
}

#[actix_web::test]
async fn actors_that_are_replaced_and_databases_that_are_away_are_counted() {
    let databases = SampleDatabases::create().await;
    // Nobody listens there.
    let setup = Setup::shipped().on(&databases).set("OMS_DB_URL", "postgres://nobody@127.0.0.1:9/gone");
    let app = TestApp::start(setup);
    let uom = DomainName::parse("uom_db").expect("a name");
    let handle = app.domains.get(&uom).expect("a domain");
    handle.inject(Fault::PanicInActor);
    eventually_async("the replacement is counted", async || {
        Scrape::of(&app).await.get("tributary_domain_restarts_total{domain=\"uom_db\"}") == 1.0
    })
    .await;
    eventually_async("the back-off shows", async || {
        let scrape = Scrape::of(&app).await;
        scrape.get("tributary_domain_state{domain=\"oms_db\",state=\"down\"}") == 1.0
            && scrape.get("tributary_domain_retry_seconds{domain=\"oms_db\"}") > 0.0
    })
    .await;
}

#[actix_web::test]
async fn who_waits_for_a_connection_in_vain_is_counted_and_timed() {
    let (databases, directory) = (SampleDatabases::create().await, tempfile::tempdir().expect("a directory"));
    let config = directory.path().join("service.yaml");
    let small = "domains: { uom_db: { pool: { min: 1, max: 1 }, timeouts: { acquire_ms: 200 } } }\n";
    std::fs::write(&config, small).expect("written");
    let app = TestApp::start(Setup { config: Some(config), ..Setup::shipped() }.on(&databases));
    app.wait_for("/readyz", 200).await;
    // Whoever reads the table waits for as long as this is open.
    let holder = connect(&databases.url("uom_db")).await;
    holder.batch_execute("BEGIN; LOCK TABLE uom_conversions").await.expect("locked");
    let (first, second) = tokio::join!(app.purchasing("PROD-001"), app.purchasing("PROD-001"));
    let mut codes = [first.code(), second.code()];
    codes.sort();
    assert_eq!(codes, ["domain_overloaded", "timeout"]);
    let scrape = Scrape::of(&app).await;
    for (sample, expected) in [
        ("tributary_pool_timeouts_total{domain=\"uom_db\"}", 1.0),
        ("tributary_query_errors_total{code=\"domain_overloaded\",domain=\"uom_db\"}", 1.0),
        ("tributary_query_wait_seconds_count{domain=\"uom_db\"}", 1.0),
        ("tributary_query_duration_seconds_count{domain=\"uom_db\"}", 1.0),
    ] {
        assert_eq!(scrape.get(sample), expected, "{sample}");
    }
    assert!(scrape.get("tributary_query_wait_seconds_sum{domain=\"uom_db\"}") >= 0.2);
    assert!(scrape.get("tributary_query_duration_seconds_sum{domain=\"uom_db\"}") > 0.2, "until it timed out");
}

#[actix_web::test]
async fn a_query_that_fails_is_counted_with_its_code() {
    let databases = SampleDatabases::create().await;
    let app = TestApp::start(Setup::shipped().on(&databases));
    app.wait_for("/readyz", 200).await;
    databases.database("uom_db").run("ALTER TABLE uom_conversions RENAME TO elsewhere").await;
    assert_eq!(app.purchasing("PROD-001").await.code(), "query_failed");
    let scrape = Scrape::of(&app).await;
    assert_eq!(scrape.get("tributary_query_duration_seconds_count{domain=\"uom_db\"}"), 1.0, "its time counts too");
    assert_eq!(scrape.get("tributary_query_errors_total{code=\"query_failed\",domain=\"uom_db\"}"), 1.0);
    assert_eq!(
        scrape.get("tributary_decisions_total{code=\"query_failed\",flow=\"purchasing\",outcome=\"error\"}"),
        1.0
    );
}

#[actix_web::test]
async fn a_reload_keeps_the_counts_of_what_stays_and_drops_the_labels_of_what_goes() {
    let (databases, directory) = (SampleDatabases::create().await, tempfile::tempdir().expect("a directory"));
    copy_shipped(directory.path());
    let setup = Setup { graphs: vec![directory.path().join("graph.yaml")], ..Setup::default() };
    let app = TestApp::start(setup.on(&databases).set("ADMIN_TOKEN", "planted-admin-token"));
    app.wait_for("/readyz", 200).await;
    app.purchasing("PROD-001").await;
    let rules = directory.path().join("rules/purchasing.grl");
    let text = std::fs::read_to_string(&rules).expect("rules");
    let renamed = text.replacen("rule \"", "rule \"Renamed ", 1);
    std::fs::write(&rules, renamed).expect("written");
    let before = Scrape::of(&app).await;
    let reload = app.client.post(app.url("/admin/reload")).bearer_auth("planted-admin-token");
    assert_eq!(TestApp::answer(reload).await.status, 200);
    let after = Scrape::of(&app).await;
    let decided = "tributary_decisions_total{code=\"\",flow=\"purchasing\",outcome=\"success\"}";
    assert_eq!((before.get(decided), after.get(decided)), (1.0, 1.0));
    let rules = |scrape: &Scrape| -> Vec<String> {
        scrape.0.keys().filter(|name| name.starts_with("tributary_rules_fired_total")).cloned().collect()
    };
    assert_eq!(rules(&before).len(), rules(&after).len());
    let gone: Vec<String> = rules(&before).into_iter().filter(|name| !after.0.contains_key(name)).collect();
    assert_eq!(gone.len(), 1, "{gone:?}");
}

/// The metrics that the dashboard and the alerts speak of are those that the service has.
#[actix_web::test]
async fn dashboard_and_alerts_name_only_metrics_that_there_are() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("service.yaml");
    std::fs::write(
        &config,
        format!(
            "records: {{ to: file, path: {} }}\ndomains: {{ oms_db: {{ max_staleness_ms: 60000 }} }}\n",
            directory.path().join("r.ndjson").display()
        ),
    )
    .expect("written");
    let setup = Setup { config: Some(config), ..Setup::shipped() };
    let app = TestApp::start(setup.on(&databases).writing());
    app.wait_for("/readyz", 200).await;
    app.purchasing("PROD-001").await;
    let age = "tributary_domain_staleness_seconds{domain=\"oms_db\"}";
    eventually_async("the age of rows", async || Scrape::of(&app).await.0.contains_key(age)).await;
    let scrape = Scrape::of(&app).await;
    for (sample, expected) in [
        ("tributary_domain_staleness_limit_seconds{domain=\"oms_db\"}", 60.0),
        ("tributary_write_pool_timeouts_total{domain=\"oms_db\"}", 0.0),
    ] {
        assert_eq!(scrape.get(sample), expected, "{sample}");
    }
    let others = ["write_pool_waiting", "domain_staleness_limit_seconds"]
        .map(|name| format!("tributary_{name}{{domain=\"uom_db\"}}"));
    assert!(others.iter().all(|sample| !scrape.0.contains_key(sample)), "only of domains that have one");
    let health = app.get("/health/oms_db").await.json();
    assert!(health["write_pool"]["max"].as_u64() > Some(0) && health["staleness"]["max_ms"] == 60000, "{health}");
    let names = scrape.0.keys().map(|sample| sample.split('{').next().unwrap_or(""));
    let names: Vec<&str> = names.flat_map(|name| [name, name.strip_suffix("_count").unwrap_or(name)]).collect();
    if let Some(file) = std::env::var_os("TEST_METRICS_FILE") {
        std::fs::write(file, app.get("/metrics").await.text).expect("written");
    }
    let known = regex::Regex::new(r"\b(tributary|process)_[a-z_]+\b").expect("a pattern");
    for file in ["config/grafana/tributary.json", "config/prometheus/alerts.yaml"] {
        let text = std::fs::read_to_string(repository().join(file)).expect("the file");
        let mut spoken = 0;
        for name in known.find_iter(&text).map(|found| found.as_str()) {
            assert!(names.contains(&name), "{file}: there is no metric {name}");
            spoken += 1;
        }
        assert!(spoken > 5, "{file} speaks of metrics");
    }
    let dashboard = std::fs::read_to_string(repository().join("config/grafana/tributary.json")).expect("the file");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: std::collections::BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}
