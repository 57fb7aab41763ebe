//! Services that are right in unusual ways: other versions of HTTP, other framings, connections that end.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use crate::bureau::{Bureau, DECISION, DESCRIPTION, Flow, Heard, ROW, Say, decide, ok, rows, truth};
use crate::support::TestApp;

const CLIENTS: usize = 8;
const REQUESTS: usize = 25;

fn text(heard: &Heard) -> String {
    if heard.is_description() { DESCRIPTION.to_owned() } else { rows(heard, ROW) }
}

/// A way to say the truth.
type Manner = fn(&Heard) -> Say;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_say_the_truth_decides_without_a_failure() {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    let app = TestApp::start(flow.setup(&bureau.url("http")));
    app.wait_for("/readyz", 200).await;
    let manners: [(&str, Manner); 7] = [
        ("HTTP/1.0", |heard| {
            let body = text(heard);
            Say::Close(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        }),
        ("a body that ends with the connection", |heard| Say::Close(format!("HTTP/1.0 200 OK\r\n\r\n{}", text(heard)))),
        ("Connection: close", |heard| {
            Say::Close(ok(&text(heard)).replace("Content-Type", "Connection: close\r\nContent-Type"))
        }),
        ("connections that end without notice", |heard| Say::Close(ok(&text(heard)))),
        ("a chunk for each byte", |heard| {
            let chunks: Vec<String> = text(heard).chars().map(|letter| format!("1\r\n{letter}\r\n")).collect();
            let chunks = chunks.concat();
            Say::Keep(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Sum: 1\r\n\r\n"))
        }),
        ("an interim answer", |heard| {
            Say::Keep(format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}", ok(&text(heard))))
        }),
        ("201", |heard| Say::Keep(ok(&text(heard)).replace("200 OK", "201 Created"))),
    ];
    for (name, manner) in manners {
        bureau.says(manner);
        let failed = AtomicUsize::new(0);
        let client = async || {
            for _ in 0..REQUESTS {
                let answer = decide(&app).await;
                if answer.text != DECISION {
                    failed.fetch_add(1, Ordering::SeqCst);
                    assert!(failed.load(Ordering::SeqCst) < 3, "{name}: {} {}", answer.status, answer.text);
                }
            }
        };
        join_all((0..CLIENTS).map(|_| client())).await;
        assert_eq!(failed.into_inner(), 0, "{name}");
        bureau.says(truth);
        assert_eq!(decide(&app).await.text, DECISION, "after {name}");
    }
}
