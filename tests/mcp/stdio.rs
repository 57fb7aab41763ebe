//! `tributary mcp`: the protocol on standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

use crate::request;
use crate::support::{Process, SampleDatabases, copy_shipped, json as parsed, program, repository, run};

#[actix_web::test]
async fn a_client_that_starts_the_program_has_every_tool_and_nothing_else_on_standard_output() {
    let databases = SampleDatabases::create().await;
    let mut command = program(repository(), &databases.environment());
    // Every line of the log, so that one that went astray would be among the messages.
    command.args(["mcp"]).env("RUST_LOG", "debug").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("the program starts"));
    let mut input = process.0.stdin.take().expect("standard input");
    let output = BufReader::new(process.0.stdout.take().expect("standard output"));
    let mut lines = output.lines().map(|line| parsed(&line.expect("a line")));
    let mut ask = |id: usize, method: &str, params: Json| -> Json {
        let mut message = request(method, &params);
        message["id"] = json!(id);
        writeln!(input, "{message}").expect("the program reads");
        let answer = lines.next().expect("an answer");
        assert_eq!(answer["id"], id);
        answer["result"].clone()
    };
    let client = json!({ "name": "test", "version": "1" });
    let told =
        ask(0, "initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client }));
    assert_eq!(told["serverInfo"]["name"], "tributary");
    assert_eq!(ask(1, "tools/list", json!({}))["tools"].as_array().map(Vec::len), Some(4));
    let input_of = json!({ "product_id": "PROD-001" });
    let mut call =
        |id, tool: &str, arguments: Json| ask(id, "tools/call", json!({ "name": tool, "arguments": arguments }));
    assert_eq!(call(2, "purchasing_decide", input_of.clone())["structuredContent"]["status"], "success");
    let flip = call(3, "purchasing_flip", json!({ "input": input_of, "facts": ["inventory_levels.available_qty"] }));
    assert_eq!(flip["structuredContent"]["flips"][0]["above"]["ending"], "no_order");
    assert_eq!(call(4, "purchasing_decide", json!({}))["isError"], true);
    // It ends with its client, in order.
    drop(input);
    assert_eq!(lines.next(), None);
    assert!(process.ended().success());
}

#[actix_web::test]
async fn a_client_hears_of_a_reload_that_changes_the_tools() {
    let databases = SampleDatabases::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let graph = copy_shipped(directory.path());
    let mut command = program(directory.path(), &databases.environment());
    command.args(["mcp"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().expect("the program starts"));
    let mut input = process.0.stdin.take().expect("standard input");
    let output = BufReader::new(process.0.stdout.take().expect("standard output"));
    let mut lines = output.lines().map(|line| parsed(&line.expect("a line")));
    let client = json!({ "name": "test", "version": "1" });
    let begin = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    writeln!(input, "{}", request("initialize", &begin)).expect("the program reads");
    let answer = lines.next().expect("an answer");
    assert_eq!(answer["result"]["capabilities"]["tools"]["listChanged"], true);
    writeln!(input, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).expect("it reads");
    // The answer shows that the client was heard.
    writeln!(input, "{}", request("tools/list", &json!({}))).expect("the program reads");
    assert_eq!(lines.next().expect("an answer")["result"]["tools"][0]["name"], "purchasing_decide");
    let text = std::fs::read_to_string(&graph).expect("a graph");
    std::fs::write(&graph, text.replace("flow: purchasing", "flow: buying")).expect("written");
    process.signal(Signal::SIGHUP);
    assert_eq!(lines.next().expect("a notification")["method"], "notifications/tools/list_changed");
    writeln!(input, "{}", request("tools/list", &json!({}))).expect("the program reads");
    assert_eq!(lines.next().expect("an answer")["result"]["tools"][0]["name"], "buying_decide");
    drop(input);
    assert!(process.ended().success());
}

#[test]
fn records_on_standard_output_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write("service.yaml", "records: { to: stdout }\n");
    write(
        "graph.yaml",
        "flow: c\nnodes: { n: { type: RuleNode, condition: \"1 == 1\" } }\noutcomes: [ { status: ok, when: n.result } ]\n",
    );
    let (code, out, err) = run(directory.path(), &[], &["mcp", "--config", "service.yaml"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("records: { to: file }"), "{err}");
}
