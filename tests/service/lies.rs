//! A service that lies: each lie is an error that names the node, and the place in the answer; none is a decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::bureau::{
    Bureau, CONFIG, DECISION, DESCRIPTION, Flow, Heard, ROW, Say, answers, decide, decides, ok, recovers, rows, status,
    truth,
};
use crate::support::{Answer, TestApp};

/// Requests at once under each lie, so that asks are joined.
const TOGETHER: usize = 8;
/// Longer than any lie may take: the time for a connection and for the query, and a margin for a busy machine.
const LONGEST: Duration = Duration::from_millis(2_500);
/// The most memory that answers without end may take: 64 MiB, and as much for tests beside this one.
const MOST_KB: u64 = 128 << 10;

struct Lie {
    name: &'static str,
    say: fn(&Heard) -> Say,
    code: &'static str,
    /// What the detail of the problem contains.
    detail: &'static str,
}

const fn lie(name: &'static str, say: fn(&Heard) -> Say, code: &'static str, detail: &'static str) -> Lie {
    Lie { name, say, code, detail }
}

fn row(heard: &Heard, row: &str) -> Say {
    Say::Keep(ok(&rows(heard, row)))
}

fn body(body: &str) -> Say {
    Say::Keep(ok(body))
}

fn code(line: &str, headers: &str) -> Say {
    Say::Keep(status(line, headers, r#"{"detail": "planted-secret"}"#))
}

const ROWS: [Lie; 14] = [
    lie(
        "a text where a number is declared",
        |heard| row(heard, r#"{"score": "planted-secret", "limit": "15.50", "day": "2026-01-15"}"#),
        "bad_answer",
        "/answers/0/rows/0/score",
    ),
    lie(
        "a fraction where an integer is declared",
        |heard| row(heard, r#"{"score": 700.5, "limit": "15.50", "day": "2026-01-15"}"#),
        "bad_answer",
        "/rows/0/score",
    ),
    lie(
        "an object where a number is declared",
        |heard| row(heard, r#"{"score": {"score": 700}, "limit": "15.50", "day": "2026-01-15"}"#),
        "bad_answer",
        "/rows/0/score",
    ),
    lie(
        "a number of too many digits",
        |heard| row(heard, &format!(r#"{{"score": 700, "limit": {}, "day": "2026-01-15"}}"#, "9".repeat(2_000))),
        "bad_answer",
        "/rows/0/limit",
    ),
    lie(
        "an integer beyond 64 bits",
        |heard| row(heard, r#"{"score": 9223372036854775808, "limit": "15.50", "day": "2026-01-15"}"#),
        "bad_answer",
        "/rows/0/score",
    ),
    lie(
        "a day that does not exist",
        |heard| row(heard, r#"{"score": 700, "limit": "15.50", "day": "2026-02-30"}"#),
        "bad_answer",
        "/rows/0/day",
    ),
    lie(
        "NaN in quotes",
        |heard| row(heard, r#"{"score": 700, "limit": "NaN", "day": "2026-01-15"}"#),
        "bad_answer",
        "/rows/0/limit",
    ),
    lie("NaN", |heard| row(heard, r#"{"score": 700, "limit": NaN, "day": "2026-01-15"}"#), "bad_answer", "is not JSON"),
    lie(
        "a missing column",
        |heard| row(heard, r#"{"score": 700, "day": "2026-01-15"}"#),
        "bad_answer",
        "has no column `limit`",
    ),
    lie(
        "a column too many",
        |heard| row(heard, r#"{"score": 700, "limit": "15.50", "day": "2026-01-15", "note": "planted-secret"}"#),
        "bad_answer",
        "/answers/0/rows/0",
    ),
    lie(
        "a column twice",
        |heard| row(heard, r#"{"score": 700, "score": 1, "limit": "15.50", "day": "2026-01-15"}"#),
        "bad_answer",
        "/answers/0/rows/0",
    ),
    lie("a row that is a list", |heard| row(heard, r#"[700, "15.50", "2026-01-15"]"#), "bad_answer", "contract"),
    lie("two rows", |heard| row(heard, &format!("{ROW},{ROW}")), "too_many_rows", "expects one row"),
    lie(
        "null where a condition needs a value",
        |heard| row(heard, r#"{"score": null, "limit": null, "day": null}"#),
        "rule_error",
        "score.score",
    ),
];

const BODIES: [Lie; 15] = [
    lie("no answers", |_| body(&answers("1", "score", 0, ROW)), "bad_answer", "/answers has 0 answers to"),
    lie("an answer too many", |heard| body(&answers("1", "score", heard.asks + 1, ROW)), "bad_answer", "/answers has"),
    lie("the answer of another node", |heard| body(&answers("1", "limit", heard.asks, ROW)), "bad_answer", "/node"),
    lie(
        "neither rows nor an error",
        |heard| body(&rows(heard, ROW).replace(r#""rows""#, r#""raws""#)),
        "bad_answer",
        "is not as the contract says",
    ),
    lie(
        "a version that it does not describe",
        |heard| body(&answers("2", "score", heard.asks, ROW)),
        "query_aborted",
        "",
    ),
    lie("HTML", |_| body("<html><body>planted-secret</body></html>"), "bad_answer", "is not JSON at line 1, column 1"),
    lie("an empty body", |_| body(""), "bad_answer", "is not JSON"),
    lie("half of the JSON", |heard| body(&rows(heard, ROW)[..40]), "bad_answer", "ends too early"),
    lie("more after the JSON", |heard| body(&(rows(heard, ROW) + "{}")), "bad_answer", "is not JSON"),
    lie(
        "lists in lists",
        |heard| row(heard, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        "bad_answer",
        "contract",
    ),
    lie(
        "an error that it made up",
        |heard| {
            body(&rows(heard, ROW).replace(&format!(r#""rows": [{ROW}]"#), r#""error": {"code": "x", "detail": "y"}"#))
        },
        "request_failed",
        "`x`: y",
    ),
    lie(
        "a timeout of its own",
        |heard| {
            let error = r#""error": {"code": "timeout", "detail": "too slow"}"#;
            body(&rows(heard, ROW).replace(&format!(r#""rows": [{ROW}]"#), error))
        },
        "timeout",
        "",
    ),
    lie(
        "a query that it gave up",
        |heard| {
            let error =
                r#""error": {"code": "query_aborted", "detail": "x", "sqlstate": "40001", "retry_after_ms": 1000}"#;
            body(&rows(heard, ROW).replace(&format!(r#""rows": [{ROW}]"#), error))
        },
        "query_aborted",
        "40001",
    ),
    lie(
        "bytes that are no text",
        |_| Say::Keep("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\u{1}\r\n0\r\n\r\n".to_owned()),
        "bad_answer",
        "is not JSON",
    ),
    lie(
        "gigabytes, as it announces",
        |heard| Say::Hold(ok(&rows(heard, ROW)).replace("Content-Length: ", "Content-Length: 9000000")),
        "bad_answer",
        "is longer than 64 MiB",
    ),
];

/// A body of chunks of 4096 bytes.
fn endless() -> Say {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    Say::Endless(head, format!("1000\r\n{}\r\n", " ".repeat(4096)))
}

const CONNECTIONS: [Lie; 6] = [
    lie(
        "fewer bytes than it announced, and the end",
        |heard| Say::Close(ok(&rows(heard, ROW)).replace("Content-Length: ", "Content-Length: 9")),
        "connection_lost",
        "",
    ),
    lie(
        "a chunk that is cut off",
        |_| Say::Close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{".to_owned()),
        "connection_lost",
        "",
    ),
    lie("no HTTP", |_| Say::Close("220 planted-secret ESMTP\r\n".to_owned()), "connection_lost", ""),
    lie(
        "fewer bytes than it announced, and nothing more",
        |heard| Say::Hold(ok(&rows(heard, ROW)).replace("Content-Length: ", "Content-Length: 9")),
        "timeout",
        "",
    ),
    lie("nothing", |_| Say::Hold(String::new()), "timeout", ""),
    lie(
        "headers without end",
        |_| Say::Endless("HTTP/1.1 200 OK\r\n".to_owned(), "X-Planted: secret\r\n".to_owned()),
        "connection_lost",
        "",
    ),
];

const STATUSES: [Lie; 12] = [
    lie("200 with no body", |_| Say::Keep("HTTP/1.1 204 No Content\r\n\r\n".to_owned()), "bad_answer", "is not JSON"),
    lie("400", |_| code("400 Bad Request", ""), "request_failed", "400"),
    lie("401", |_| code("401 Unauthorized", ""), "domain_unavailable", "refuses the token"),
    lie("403", |_| code("403 Forbidden", ""), "domain_unavailable", "refuses the token"),
    lie("404", |_| code("404 Not Found", ""), "request_failed", "404"),
    lie("408", |_| code("408 Request Timeout", ""), "timeout", ""),
    lie("429", |_| code("429 Too Many Requests", "Retry-After: 1\r\n"), "domain_overloaded", ""),
    lie("500", |_| code("500 Internal Server Error", ""), "request_failed", "500"),
    lie("502", |_| code("502 Bad Gateway", ""), "domain_unavailable", "502"),
    lie("503", |_| code("503 Service Unavailable", "Retry-After: 1\r\n"), "domain_unavailable", "503"),
    lie("504", |_| code("504 Gateway Timeout", ""), "timeout", ""),
    lie("an invented status", |_| code("799 Planted", ""), "request_failed", "799"),
];

/// The problem that all clients get which ask at the same time.
async fn problem_of(app: &TestApp, name: &str) -> Answer {
    let start = Instant::now();
    let mut problems = join_all((0..TOGETHER).map(|_| decide(app))).await;
    assert!(start.elapsed() < LONGEST, "{name}: took {:?}", start.elapsed());
    for answer in &problems {
        assert_ne!(answer.status, 200, "{name}: {}", answer.text);
        assert_eq!(answer.code(), problems[0].code(), "{name}: {}", answer.text);
        assert!(!answer.text.contains("planted"), "{name}: {}", answer.text);
    }
    problems.remove(0)
}

/// Fails unless the service is not asked during the pause of a second that it asked for, and then is.
async fn rests(app: &TestApp, bureau: &Bureau) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    bureau.says(move |heard| {
        counter.fetch_add(usize::from(!heard.is_description()), Ordering::Relaxed);
        truth(heard)
    });
    assert_ne!(decide(app).await.status, 200);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!((decide(app).await.status, asked.load(Ordering::Relaxed)), (200, 1));
}

async fn all(lies: &'static [Lie]) {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    decides(&app, "before").await;
    for lie in lies {
        let (name, say) = (lie.name, lie.say);
        bureau.says(move |heard| if heard.is_description() { truth(heard) } else { say(heard) });
        let problem = problem_of(&app, name).await;
        let json = problem.json();
        assert_eq!(problem.code(), lie.code, "{name}: {json}");
        assert!(json["detail"].as_str().is_some_and(|detail| detail.contains(lie.detail)), "{name}: {json}");
        assert!(json["detail"].as_str().is_some_and(|detail| detail.contains("score")), "{name}: {json}");
        if lie.code != "rule_error" {
            assert_eq!((json["node"].as_str(), json["domain"].as_str()), (Some("score"), Some("bureau_db")), "{name}");
        }
        if ["429", "503"].contains(&name) {
            assert_eq!(problem.headers["retry-after"], "1", "{name}");
            rests(&app, &bureau).await;
        }
        bureau.says(truth);
        decides(&app, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_as_described_are_errors_at_their_place() {
    all(&ROWS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_not_as_the_contract_says_are_errors() {
    all(&BODIES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_is_an_error_in_bounded_memory() {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    // So long that the limit on bytes is first.
    std::fs::write(flow.file("service.yaml"), CONFIG.replace("query_ms: 1000", "query_ms: 20000")).expect("written");
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    let before = peak_kb();
    for _ in 0..3 {
        bureau.says(|heard| if heard.is_description() { truth(heard) } else { endless() });
        let problem = decide(&app).await;
        assert_eq!(problem.code(), "bad_answer", "{}", problem.text);
        assert!(problem.text.contains("is longer than 64 MiB"), "{}", problem.text);
        bureau.says(truth);
        decides(&app, "after an answer without end").await;
    }
    assert!(peak_kb() <= before + MOST_KB, "{before} kB, then {} kB", peak_kb());
}

/// The most memory that this process has had.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_do_not_arrive_are_errors() {
    all(&CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_status_is_the_error_of_the_table() {
    all(&STATUSES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let (bureau, elsewhere) = (Bureau::start().await, Bureau::start().await);
    let flow = Flow::write();
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    for line in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let location = format!("Location: {}/score\r\n", elsewhere.url("http"));
        bureau.says(move |_| Say::Keep(status(line, &location, "")));
        let problem = problem_of(&app, line).await;
        assert_eq!(problem.code(), "request_failed", "{line}: {}", problem.text);
    }
    assert_eq!(elsewhere.connections(), 0);
    bureau.says(truth);
    recovers(&app, "no redirect").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_that_is_none_is_an_error_of_each_query_and_a_service_that_refuses_it_is_down() {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    let of = |from: &'static str, to: &'static str| DESCRIPTION.replace(from, to);
    for (name, say, code) in [
        ("HTML", Say::Keep(ok("<html>planted-secret</html>")), "request_failed"),
        ("another node", Say::Keep(ok(&of("\"score\": {\"params", "\"rating\": {\"params"))), "request_failed"),
        ("an unknown type", Say::Keep(ok(&of("decimal", "money"))), "request_failed"),
        ("another column", Say::Keep(ok(&of("\"name\": \"limit\"", "\"name\": \"maximum\""))), "bad_answer"),
        ("another type", Say::Keep(ok(&of("\"type\": \"date\"", "\"type\": \"integer\""))), "bad_answer"),
        ("404", Say::Keep(status("404 Not Found", "", "")), "request_failed"),
        ("without end", endless(), "request_failed"),
        ("401", Say::Keep(status("401 Unauthorized", "", "")), "domain_unavailable"),
        ("500", Say::Keep(status("500 Internal Server Error", "", "")), "request_failed"),
        ("503", Say::Keep(status("503 Service Unavailable", "", "")), "domain_unavailable"),
        ("nothing", Say::Hold(String::new()), "domain_unavailable"),
        ("no HTTP", Say::Close("220 planted-secret ESMTP\r\n".to_owned()), "domain_unavailable"),
    ] {
        bureau.says(move |heard| if heard.is_description() { say.clone() } else { truth(heard) });
        let start = Instant::now();
        loop {
            let answer = decide(&app).await;
            assert!(!answer.text.contains("planted"), "{name}: {}", answer.text);
            if answer.code() == code {
                break;
            }
            // Until the next probe the last description is good, and after it a connection may be lost.
            let is_early = answer.text == DECISION || answer.code() == "connection_lost";
            assert!(is_early, "{name}: {}", answer.text);
            assert!(start.elapsed() < Duration::from_secs(3), "{name}: {}", answer.text);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bureau.says(truth);
        recovers(&app, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_changes_with_each_answer_decides_nothing_and_one_that_has_changed_is_noticed() {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    let number = AtomicUsize::new(2);
    bureau.says(move |heard| {
        let version = number.fetch_add(1, Ordering::SeqCst).to_string();
        let described = DESCRIPTION.replace("\"version\": \"1\"", &format!("\"version\": \"{version}\""));
        Say::Keep(ok(&if heard.is_description() { described } else { answers(&version, "score", heard.asks, ROW) }))
    });
    assert_eq!(problem_of(&app, "changes").await.code(), "query_aborted");
    // Another release of the service, with the columns in another order.
    bureau.says(|heard| {
        let described = r#"{"version": "b", "nodes": {"score": {"params": ["text"], "columns": [
            {"name": "day", "type": "date"}, {"name": "limit", "type": "decimal"}, {"name": "score", "type": "integer"}]}}}"#;
        Say::Keep(ok(&if heard.is_description() { described.to_owned() } else { answers("b", "score", heard.asks, ROW) }))
    });
    decides(&app, "another version").await;
}
