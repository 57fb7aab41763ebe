//! What the program reads and prints: documents, logs, colours, marks, pipes that close, and connections that it leaves alone.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::process::{Command, Stdio};

use serde_json::Value as Json;
use support::{Database, json, program, read, run};

/// A flow of rules alone, and a file of everything that a command needs.
const RULES: &str = "flow: c\ninput: { a: { type: integer, default: 1 } }\nnodes: { n: { type: RuleNode, condition: \"a > 0\" } }\n\
                     outcomes: [ { status: ok, when: n.result, body: { a: input.a } } ]\n";

#[test]
fn a_command_whose_output_is_cut_off_does_not_succeed() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write("graph.yaml", RULES);
    write("wrong.yaml", "flow: c\nnodes: {}\noutcomes: []\nqurey: 1\n");
    write("a.test.yaml", "graph: graph.yaml\ntests:\n  - { name: one, expect: { status: ok } }\n");
    write("records.ndjson", "");
    for arguments in [
        &["check"][..],
        &["check", "--format", "json"],
        &["check", "--graph", "wrong.yaml"],
        &["run"],
        &["run", "--format", "json"],
        &["test", "a.test.yaml"],
        &["replay", "records.ndjson"],
        &["graph"],
        &["rules"],
        &["eval", "1 + 1"],
        &["graph", "--format", "json"],
        &["openapi"],
        &["schema", "graph"],
        &["token", "erp"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--version"],
    ] {
        // A pipe that nobody reads: a socket whose other end is closed.
        let (closed, ours) = std::os::unix::net::UnixStream::pair().expect("a pair");
        drop(closed);
        let mut command = program(directory.path(), &[]);
        let status = command.args(arguments).stdout(std::os::fd::OwnedFd::from(ours)).stderr(Stdio::null()).status();
        assert_eq!(status.expect("it runs").code(), Some(141), "{arguments:?}");
    }
}

#[test]
fn json_is_one_document_on_standard_output_whatever_goes_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write("graph.yaml", RULES);
    write("wrong.yaml", "flow: c\nnodes: {}\noutcomes: []\nqurey: 1\n");
    write("warned.yaml", &RULES.replace("input: {", "input: { unused: { type: text, required: false },"));
    write("a.test.yaml", "graph: graph.yaml\ntests:\n  - { name: one, expect: { status: ok } }\n");
    write("b.test.yaml", "graph: wrong.yaml\ntests: []\n");
    write("records.ndjson", "garbage\n");
    for (arguments, code, diagnostics) in [
        (&["check"][..], 0, 0),
        (&["check", "--graph", "wrong.yaml"], 1, 1),
        (&["check", "--env-file", "nowhere"], 1, 1),
        (&["doctor"], 0, 0),
        (&["doctor", "--graph", "wrong.yaml"], 1, 1),
        (&["doctor", "--graph", "warned.yaml"], 0, 1),
        (&["run"], 0, 0),
        (&["run", "--graph", "wrong.yaml"], 1, 1),
        (&["run", "--graph", "warned.yaml"], 0, 1),
        (&["run", "--flow", "other"], 1, 1),
        (&["run", "--input", "planted"], 1, 1),
        (&["run", "--input", "a=x"], 1, 0),
        (&["replay", "records.ndjson"], 1, 1),
        (&["replay", "records.ndjson", "--graph", "wrong.yaml"], 1, 1),
        (&["replay", "nowhere"], 1, 1),
        (&["test", "a.test.yaml"], 0, 0),
        (&["test", "b.test.yaml"], 1, 1),
        (&["test", "nowhere"], 1, 1),
    ] {
        let (exit, stdout, stderr) = run(directory.path(), &[], &[arguments, &["--format", "json"]].concat());
        let document = json(&stdout);
        let found = document["diagnostics"].as_array().map_or(0, Vec::len);
        assert_eq!((exit, stderr.as_str()), (code, ""), "{arguments:?}: {stdout}");
        assert!(if diagnostics == 0 { found == 0 } else { found > 0 }, "{arguments:?}: {stdout}");
        assert!(!stdout.contains("planted"), "{stdout}");
    }
    let (_, stdout, _) = run(directory.path(), &[], &["run", "--input", "a=x", "--format", "json"]);
    assert_eq!(json(&stdout)["code"], "invalid_input", "the problem itself is the document");
}

#[test]
fn a_log_in_json_has_no_line_that_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    write("graph.yaml", RULES);
    write("warned.yaml", &RULES.replace("input: {", "input: { unused: { type: text, required: false },"));
    write("json.yaml", "log: { format: json }\nhttp: { bindd: x }\n");
    write("quiet.yaml", "log: { format: json, filter: off }\n");
    write("json.env", "TRIBUTARY_LOG_FORMAT=json\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let asked = [("TRIBUTARY_LOG_FORMAT".to_owned(), "json".to_owned())];
    for (environment, arguments, code) in [
        (&asked[..], &["serve", "--graph", "nowhere.yaml"][..], 1),
        (&asked, &["serve", "--config", "nowhere.yaml"], 1),
        (&asked, &["serve", "--env-file", "nowhere"], 1),
        (&asked, &["serve", "--bind", &address], 4),
        (&asked, &["serve", "--graph", "warned.yaml", "--bind", &address], 4),
        (&asked, &["serve", "--binnd", &address], 2),
        (&asked, &["graph", "--flow", "other"], 1),
        (&[], &["serve", "--config", "json.yaml"], 1),
        (&[], &["serve", "--config", "quiet.yaml", "--bind", &address], 4),
        (&[], &["serve", "--env-file", "json.env", "--bind", &address], 4),
    ] {
        let (exit, _, stderr) = run(directory.path(), environment, arguments);
        assert_eq!(exit, code, "{arguments:?}: {stderr}");
        let lines: Vec<Json> = stderr.lines().map(json).collect();
        assert!(!lines.is_empty(), "{arguments:?}");
        for line in &lines {
            for member in ["timestamp", "level", "message"] {
                assert!(line[member].is_string(), "{arguments:?}: {line}");
            }
        }
        assert!(lines.iter().any(|line| line["level"] == "ERROR"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn text_on_a_terminal_has_colours_unless_no_color_is_set() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("graph.yaml"), "flow: c\nqurey: 1\n").expect("written");
    // `script` gives the program a terminal.
    let shown = |value: &str, subcommand: &str| {
        let mut command = Command::new("script");
        let program = format!("{} {subcommand}", env!("CARGO_BIN_EXE_tributary"));
        command.args(["--quiet", "--return", "--command", &program, "/dev/null"]).current_dir(directory.path());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("NO_COLOR", value);
        let output = command.stdin(Stdio::null()).output().expect("script runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for subcommand in ["check", "run"] {
        for (value, is_coloured) in [("", true), ("1", false), ("0", false), ("no", false)] {
            let text = shown(value, subcommand);
            assert!(text.contains("qurey"), "{text}");
            assert_eq!(text.contains('\u{1b}'), is_coloured, "NO_COLOR={value} {subcommand}: {text:?}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_any_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), format!("\u{feff}{text}")).expect("written");
    };
    write(
        "graph.yaml",
        &RULES.replace("condition: \"a > 0\"", "rules: rules.grl").replace("n.result", "n.big == true"),
    );
    write("rules.grl", "rule \"R\" no-loop { when input.a > 0 then big = true; }\n");
    write("service.yaml", "log: { filter: warn }\n");
    write("mine.env", "TRIBUTARY_CONFIG=service.yaml\n");
    write("array.json", "[{\"a\": 7}, {\"a\": 8}]");
    write("lines.ndjson", "{\"a\": 7}\n{\"a\": 8}\n");
    let answer = |arguments: &[&str]| {
        let arguments = [&["run", "--env-file", "mine.env"], arguments].concat();
        let (code, stdout, stderr) = run(directory.path(), &[], &arguments);
        assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    };
    assert_eq!(json(&answer(&["--json", "\u{feff}{\"a\": 7}"]))["a"], 7);
    for file in ["array.json", "lines.ndjson"] {
        let lines: Vec<Json> = answer(&["--batch", file]).lines().map(json).collect();
        assert_eq!((lines[0]["a"].as_i64(), lines[1]["a"].as_i64()), (Some(7), Some(8)), "{file}");
    }
}

/// A port that leads to `port`, and how many connections were made through it.
fn counted(port: u16) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("an address").port();
    let made = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&made);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let server = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
            for (mut from, mut to) in
                [(client.try_clone().expect("a handle"), server.try_clone().expect("a handle")), (server, client)]
            {
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut from, &mut to));
                    drop(to.shutdown(std::net::Shutdown::Both));
                });
            }
        }
    });
    (own, made)
}

#[actix_web::test]
async fn run_says_nothing_unasked_and_connects_only_where_it_must() {
    let database = Database::with("CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await;
    let (ours, made) = counted(support::shared_server().port());
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    other.set_nonblocking(true).expect("a setting");
    let directory = tempfile::tempdir().expect("a directory");
    let flow = |name: &str, domain: &str| {
        format!(
            "flow: {name}\nnodes:\n  a: {{ type: DBNode, database: {domain}, query: 'SELECT x FROM t' }}\n\
             outcomes:\n  - {{ status: ok, when: a.x == 1 }}\n"
        )
    };
    for (name, domain) in [("one", "a_db"), ("two", "b_db")] {
        std::fs::write(directory.path().join(format!("{name}.yaml")), flow(name, domain)).expect("written");
    }
    let theirs = other.local_addr().expect("an address").port();
    let through = database.url().replace(&format!(":{}", support::shared_server().port()), &format!(":{ours}"));
    let environment =
        [("A_DB_URL".to_owned(), through), ("B_DB_URL".to_owned(), format!("postgres://u@127.0.0.1:{theirs}/d"))];
    let decide = |log: &[(&str, &str)]| {
        let mut command = program(directory.path(), &environment);
        command.env_remove("RUST_LOG").envs(log.iter().copied());
        read(
            command
                .args(["run", "--graph", "one.yaml", "--graph", "two.yaml", "--flow", "one"])
                .output()
                .expect("it runs"),
        )
    };
    let (code, stdout, stderr) = decide(&[]);
    assert_eq!((code, stderr.as_str(), json(&stdout)["status"].as_str()), (0, "", Some("ok")));
    let made = made.load(std::sync::atomic::Ordering::SeqCst);
    assert!((1..=2).contains(&made), "{made} connections for one query and a probe");
    assert!(other.accept().is_err(), "the database of another flow is left alone");
    let (code, _, stderr) = decide(&[("RUST_LOG", "info")]);
    assert!(code == 0 && stderr.contains("INFO"), "{stderr}");
}
