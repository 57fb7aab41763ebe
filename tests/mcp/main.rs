//! The flows as tools of the Model Context Protocol: over HTTP, over standard input and output, and with a client that is not ours.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod client;
mod rights;
mod stdio;
#[path = "../support/mod.rs"]
mod support;
mod tools;

use serde_json::{Value as Json, json};
use support::{Answer, TestApp};

const ADMIN: &str = "planted-admin-token";

/// Sends one message of the protocol as a client does.
async fn send(app: &TestApp, token: Option<&str>, message: &Json) -> Answer {
    let request = app.client.post(app.url("/mcp")).header("Accept", "application/json, text/event-stream");
    let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
    TestApp::answer(request.json(message)).await
}

fn request(method: &str, params: &Json) -> Json {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The result of a request.
async fn result(app: &TestApp, token: Option<&str>, method: &str, params: Json) -> Json {
    let answer = send(app, token, &request(method, &params)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"].clone()
}

/// Calls a tool.
async fn call(app: &TestApp, token: Option<&str>, tool: &str, arguments: Json) -> Json {
    result(app, token, "tools/call", json!({ "name": tool, "arguments": arguments })).await
}

/// The names of the tools that a token has.
async fn names(app: &TestApp, token: Option<&str>) -> Vec<String> {
    let listed = result(app, token, "tools/list", json!({})).await;
    let tools = listed["tools"].as_array().expect("tools").iter();
    tools.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}
