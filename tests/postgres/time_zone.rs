//! Sessions have the service's time zone, so that days begin at the same time in queries and rules.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tributary::config::Statements;
use tributary::pool::{Finding, Verdict};
use tributary::postgres::examination::examine;
use tributary::types::{Clock, Value};

use crate::fixture::{Domain, config, database, run, shared_server};
use crate::pooler::Pooler;
use crate::support::{Setup, TestApp};

/// A booking every quarter of an hour around the changes of New York's clocks, a new year and an ordinary day.
const BOOKINGS: &str = "CREATE TABLE bookings AS SELECT at AS booked_at
    FROM unnest(ARRAY['2026-03-07', '2026-10-31', '2026-12-31', '2026-06-15']::date[]) day,
         generate_series(day::timestamp AT TIME ZONE 'UTC', (day + 3)::timestamp AT TIME ZONE 'UTC', '15 minutes') at";

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

#[actix::test]
async fn days_of_queries_are_those_of_rules_also_at_clock_changes() {
    let server = shared_server();
    let name = database(server, "days", BOOKINGS).await;
    for zone in ["America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC"].map(zone) {
        let mut config = config(server, &name);
        config.time_zone = zone.clone();
        let domain = Domain::ready(config).await;
        let all = domain.ask("SELECT booked_at FROM bookings", &[]).await.expect("rows");
        let day_of = |row: &Value| match row.at(["booked_at"]) {
            Some(Value::Timestamp(at)) => Clock::fixed(at, zone.clone()).today(),
            other => panic!("{other:?}"),
        };
        let days: Vec<Date> = all.rows.iter().map(day_of).collect();
        assert!(days.len() > 1_000, "{} bookings", days.len());
        let mut distinct = days.clone();
        distinct.sort_unstable();
        distinct.dedup();
        for day in distinct {
            let of_the_day =
                "SELECT count(*) AS n FROM bookings WHERE booked_at >= $1::date AND booked_at < $1::date + 1";
            let found = domain.value(of_the_day, &[Value::Date(day)]).await;
            let expected = days.iter().filter(|known| **known == day).count();
            assert_eq!(found.to_string(), expected.to_string(), "{day} in {zone:?}");
        }
        domain.drain().await;
    }
}

#[actix::test]
async fn a_decision_and_its_queries_have_the_same_day() {
    let server = shared_server();
    let name = database(server, "one_day", "SELECT 1").await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = directory.path().join("day.yaml");
    let flow = "flow: day\npath: /day\nnodes:\n  q: { type: DBNode, database: oms_db, query: \"SELECT current_setting('TimeZone') AS zone, now()::date AS day\" }\n\
                outcomes: [ { status: ok, body: { zone: q.zone, same: \"q.day == today()\" } } ]\n";
    std::fs::write(&graph, flow).expect("written");
    // At any time one of these has another day than UTC.
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"] {
        let setup = Setup { graphs: vec![graph.clone()], ..Setup::default() };
        let app = TestApp::start(setup.domain("oms_db", &server.url(&name)).set("TRIBUTARY_TIME_ZONE", zone));
        app.wait_for("/readyz", 200).await;
        let answer = app.post("/day", "{}").await.json();
        assert_eq!((answer["zone"].as_str(), answer["same"].as_bool()), (Some(zone), Some(true)), "{answer}");
    }
}

#[actix::test]
async fn the_services_session_settings_override_the_options_of_the_domain() {
    let server = shared_server();
    let name = database(server, "session_settings", "SELECT 1").await;
    let mut config = config(server, &name);
    config.time_zone = zone("America/New_York");
    "-c statement_timeout=0 -c TimeZone=Asia/Tokyo -c work_mem=8MB".clone_into(&mut config.connection.options);
    let domain = Domain::ready(config).await;
    for (setting, value) in [
        ("TimeZone", "America/New_York"),
        ("statement_timeout", "5s"),
        ("default_transaction_read_only", "on"),
        ("work_mem", "8MB"),
    ] {
        let found = domain.value(&format!("SELECT current_setting('{setting}') AS value"), &[]).await;
        assert_eq!(found.to_string(), value, "{setting}");
    }
    domain.drain().await;
}

fn of_zone(findings: &[Finding]) -> &Finding {
    findings.iter().find(|finding| finding.step == "zone").expect("the step")
}

#[actix::test]
async fn doctor_reports_sessions_of_a_pooler_with_another_time_zone() {
    let server = crate::support::Server::disposable(&[]).expect("a server");
    run(&server, "postgres", "CREATE ROLE tributary LOGIN; ALTER ROLE tributary SET timezone = 'America/New_York'")
        .await;
    let pooler = Pooler::before(&server);
    let found = async |role: &str, name: &str| {
        let mut config = pooler.config(&server, "postgres", Statements::Unprepared);
        role.clone_into(&mut config.connection.user);
        config.time_zone = zone(name);
        let mut findings = Vec::new();
        crate::fixture::eventually("the pooler accepts the login", async || {
            findings = examine(&config, &[]).await;
            findings.iter().any(|finding| finding.step == "zone")
        })
        .await;
        of_zone(&findings).clone()
    };
    // The server's zone is UTC, here under another name.
    assert_eq!(found("postgres", "Etc/UTC").await.verdict, Verdict::Ok);
    assert_eq!(found("tributary", "America/New_York").await.verdict, Verdict::Ok);
    let other = found("postgres", "America/New_York").await;
    assert_eq!(other.verdict, Verdict::Warning, "{other:?}");
    assert_eq!(other.remedy.as_deref(), Some("ALTER ROLE postgres SET timezone = 'America/New_York'"));
    let summer: Timestamp = "2026-07-01T12:00:00Z".parse().expect("a timestamp");
    assert_ne!(zone("Europe/London").to_offset(summer), zone("UTC").to_offset(summer));
    assert_eq!(found("postgres", "Europe/London").await.verdict, Verdict::Warning, "the same only in winter");
}
