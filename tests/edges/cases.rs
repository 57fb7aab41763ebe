//! Tables of well-formed and malformed requests and JSON texts. The scores are printed.

use std::io::Write;
use std::time::Duration;

use serde::Deserialize;

use crate::wire::{Echo, Wire};

/// How long the service must send nothing where it has to wait for more.
const NO_ANSWER: Duration = Duration::from_millis(400);

#[derive(Deserialize)]
struct HttpCase {
    name: String,
    send: String,
    /// The first and last accepted status. `None` where the service has to wait for more.
    status: Option<(u16, u16)>,
}

#[derive(Deserialize)]
struct JsonCase {
    name: String,
    is: Verdict,
    text: Option<String>,
    times: Option<usize>,
    hex: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Accept,
    Reject,
    Either,
}

impl JsonCase {
    fn bytes(&self) -> Vec<u8> {
        match (&self.text, &self.hex) {
            (Some(text), None) => text.repeat(self.times.unwrap_or(1)).into_bytes(),
            (None, Some(hex)) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits"))
                .collect(),
            _ => panic!("{}: either `text` or `hex`", self.name),
        }
    }
}

/// Prints how many of the cases pass, and fails where not all do.
fn score(what: &str, all: usize, failed: &[String]) {
    // Not captured with the output of tests, so that the gate shows it.
    writeln!(std::io::stderr(), "{what}: {} of {all} cases pass", all - failed.len()).expect("written");
    assert!(failed.is_empty(), "{what}:\n{}", failed.join("\n"));
}

#[actix_web::test]
async fn requests_are_parsed_by_rfc_9112() {
    let echo = Echo::start("", &[]);
    let cases: Vec<HttpCase> = serde_yaml::from_str(include_str!("http_cases.yaml")).expect("cases");
    let outcomes = cases.iter().map(|case| async {
        let mut wire = echo.connect().await;
        wire.send(&case.send).await;
        match case.status {
            None => {
                wire.more(NO_ANSWER).await;
                let sent = wire.unread();
                sent.is_empty().then_some(()).ok_or(format!("{}: it does not wait, but sends {sent}", case.name))
            }
            Some((least, most)) => {
                let status = wire.reply().await.status;
                (least..=most).contains(&status).then_some(()).ok_or(format!("{}: {status}", case.name))
            }
        }
    });
    let failed: Vec<String> =
        futures_util::future::join_all(outcomes).await.into_iter().filter_map(Result::err).collect();
    score("HTTP", cases.len(), &failed);
}

#[actix_web::test]
async fn json_is_parsed_by_rfc_8259() {
    let echo = Echo::start("", &[]);
    let cases: Vec<JsonCase> = serde_yaml::from_str(include_str!("json_cases.yaml")).expect("cases");
    let (mut failed, mut wire) = (Vec::new(), echo.connect().await);
    for case in &cases {
        let within = [b"{\"v\": ", case.bytes().as_slice(), b"}"].concat();
        let (status, body) = decide(&mut wire, &within).await;
        let is = if status == 400 && body.contains("malformed_body") { Verdict::Reject } else { Verdict::Accept };
        if status >= 500 || (case.is != Verdict::Either && is != case.is) {
            failed.push(format!("{}: {status} {body}", case.name));
        }
        if case.is == Verdict::Reject {
            // By itself it is rejected, too: as JSON, or because it is no object.
            let (status, body) = decide(&mut wire, &case.bytes()).await;
            if !(400..500).contains(&status) {
                failed.push(format!("{} by itself: {status} {body}", case.name));
            }
        }
    }
    score("JSON", cases.len(), &failed);
}

async fn decide(wire: &mut Wire, body: &[u8]) -> (u16, String) {
    let length = body.len();
    let head = "POST /flows/echo HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n";
    wire.send([format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat()).await;
    let reply = wire.reply().await;
    (reply.status, reply.body)
}
