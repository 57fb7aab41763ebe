//! Mistakes with secrets and variables: pasted into a wrong place, with an extra line break, or in another encoding.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use tributary::config::new_token;

/// The secret that is pasted.
const PLANTED: &str = "xyzzy-planted";

/// The output of the program for the files of a directory, on both streams and in both formats.
fn said_of(directory: &Path, environment: &[(&str, &std::ffi::OsStr)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut said = String::new();
    let mut code = None;
    let formats = [&[][..], &["--format", "json"]];
    for format in formats.iter().take(if arguments.first() == Some(&"check") { 2 } else { 1 }) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(directory).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
        let output = command.args(arguments).args(*format).output().expect("it runs");
        code = output.status.code();
        said += &(String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr));
    }
    (code, said)
}

const RULES: &str =
    "flow: c\nnodes: { n: { type: RuleNode, condition: \"true\" } }\noutcomes: [ { status: ok, when: n.result } ]\n";

#[test]
fn a_secret_that_is_pasted_into_the_wrong_place_is_not_repeated() {
    let (token, _) = new_token();
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let tokens = |entry: &str| ("tokens.yaml", format!("tokens:\n{entry}\n"));
    let service = |text: &str| ("service.yaml", text.to_owned());
    let graph = |connection: &str| {
        (
            "graph.yaml",
            format!("flow: c\nnodes:\n  a: {{ type: DBNode, {connection}, qurey: SELECT 1 }}\noutcomes: []\n"),
        )
    };
    let env = |text: &str| (".env", text.to_owned());
    let places = [
        tokens(&format!("- {{ name: erp, sha256: {token}, flows: all }}")),
        tokens(&format!("- name: erp\n  sha256: {PLANTED}\n  flows: all")),
        tokens(&format!("- {{ name: erp, token: {token}, sha256: {digest}, flows: all }}")),
        tokens(&format!("- {{ name: erp, pass: {PLANTED}, sha256: {digest}, flows: all }}")),
        tokens(&format!("- {{ name: {token}, sha256: {digest}, flows: all }}")),
        tokens(&format!("- {{ name: erp, sha256: {digest}, flows: [\"{token}\"] }}")),
        tokens(&format!("- {PLANTED}")),
        tokens(&format!("- {{ name: erp, sha256: {digest}, flows: all }}\n{token}: x: y")),
        tokens(&format!("- {{ name: erp, sha256: \"{PLANTED}, flows: all }}")),
        tokens(&format!("- {{ name: erp, sha256: {digest}, flows: all, {token}: 1 }}")),
        service(&format!("http: {{ tokens: {token} }}\n")),
        service(&format!("admin_token: {PLANTED}\n")),
        service(&format!("domains: {{ a_db: {{ pasword: {PLANTED} }} }}\n")),
        service(&format!("domains: {{ a_db: {{ url: 'postgres://u:{PLANTED}@h/d' }} }}\n")),
        service(&format!("http: {{ bind: 'postgres://u:{PLANTED}@h/d' }}\n")),
        service(&format!("log: {{ format: json }}\n  password: {PLANTED}\n")),
        service(&format!("key: !{PLANTED}\n")),
        graph(&format!("connection: 'postgres://u:{PLANTED}@h/d'")),
        graph(&format!("connection: 'postgres://u:x y{PLANTED}@h/d'")),
        graph(&format!("connection: 'postgres://u:x'{PLANTED}@h/d'")),
        graph(&format!("connection: 'postgres://u:{PLANTED}'")),
        graph(&format!("connection: 'postgres://u@h/d?password={PLANTED}'")),
        graph(&format!("connection: 'host=h password={PLANTED}'")),
        graph(&format!("password: {PLANTED}")),
        env(&format!("TRIBUTARY_ADMIN_TOKEN={PLANTED}\n")),
        env(&format!("TRIBUTARY_BIND={PLANTED}\n")),
        env(&format!("A_DB_PORT={PLANTED}\nA_DB_HOST=u:{PLANTED}@h\n")),
        env(&format!("{PLANTED}\nADMIN_TOKEN='{PLANTED}\n")),
    ];
    for (file, text) in places {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |file: &str, text: &str| std::fs::write(directory.path().join(file), text).expect("written");
        write("graph.yaml", RULES);
        write("service.yaml", "http: { tokens: tokens.yaml }\n");
        write("tokens.yaml", &format!("tokens:\n- {{ name: erp, sha256: {digest}, flows: all }}\n"));
        if text.contains("A_DB") {
            write(
                "graph.yaml",
                "flow: c\nnodes:\n  a: { type: DBNode, database: a_db, query: SELECT 1 AS x }\noutcomes: [ { status: ok } ]\n",
            );
        }
        write(file, &text);
        for arguments in [&["check", "--config", "service.yaml"][..], &["serve", "--config", "service.yaml"]] {
            let (code, said) = said_of(directory.path(), &[], arguments);
            assert_eq!(code, Some(1), "{text}: {said}");
            for secret in [PLANTED, token.as_str(), &token[4..]] {
                assert!(!said.contains(secret), "{arguments:?} of {text}: {said}");
            }
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("graph.yaml"), RULES).expect("written");
    let url = format!("postgres://u:{PLANTED}@h/d");
    for arguments in [
        &["serve", "--bind", &url][..],
        &["serve", "--bind", &token],
        &["check", &url],
        &["check", "--config", &url],
        &["check", "--graph", &token],
        &["token", "erp", "--flow", &token, "--flow", "a b"],
        &["run", "--input", PLANTED],
        &["run", "--flow", &token],
    ] {
        let (code, said) = said_of(directory.path(), &[], arguments);
        assert!(code.is_some_and(|code| code != 0), "{arguments:?}: {said}");
        assert!(!said.contains(PLANTED) && !said.contains(&token[4..]), "{arguments:?}: {said}");
    }
}

#[test]
fn a_secret_may_have_one_line_break_and_a_byte_order_mark_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |file: &str| directory.path().join(file);
    std::fs::write(path("graph.yaml"), RULES).expect("written");
    for (bytes, refused) in [
        (&b"secret"[..], None),
        (b"secret\n", None),
        (b"secret\r\n", None),
        (b"\xEF\xBB\xBFsecret\n", None),
        (b"secret\n\n", Some("a line break at byte 7")),
        (b"first\nsecond\n", Some("a line break at byte 6")),
        (b"a\rb", Some("a line break at byte 2")),
        (b"a\0b", Some("a NUL at byte 2")),
        (b"ab\xFF", Some("not UTF-8 at byte 3")),
        (b"", Some("is empty")),
        (b"\n", Some("is empty")),
    ] {
        std::fs::write(path("secret"), bytes).expect("written");
        let (code, said) = said_of(directory.path(), &[("ADMIN_TOKEN_FILE", "secret".as_ref())], &["check"]);
        match refused {
            None => assert_eq!(code, Some(0), "{bytes:?}: {said}"),
            Some(why) => {
                assert!(
                    code == Some(1) && said.contains("ADMIN_TOKEN_FILE") && said.contains(why),
                    "{bytes:?}: {said}"
                );
            }
        }
    }
    let (code, said) = said_of(directory.path(), &[("ADMIN_TOKEN", "a\nb".as_ref())], &["check"]);
    assert!(code == Some(1) && said.contains("ADMIN_TOKEN") && said.contains("a line break at byte 2"), "{said}");
    assert_eq!(said_of(directory.path(), &[("ADMIN_TOKEN", "a\n".as_ref())], &["check"]).0, Some(0));
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused_by_its_name() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().expect("a directory");
    let graph =
        "flow: c\nnodes:\n  a: { type: DBNode, database: a_db, query: SELECT 1 AS x }\noutcomes: [ { status: ok } ]\n";
    std::fs::write(directory.path().join("graph.yaml"), graph).expect("written");
    let bad = std::ffi::OsStr::from_bytes(b"a\xFFb");
    let good = [("A_DB_HOST", "127.0.0.1"), ("A_DB_USER", "u"), ("A_DB_NAME", "d")];
    let good: Vec<(&str, &std::ffi::OsStr)> = good.into_iter().map(|(name, value)| (name, value.as_ref())).collect();
    assert_eq!(said_of(directory.path(), &good, &["check"]).0, Some(0));
    for name in [
        "A_DB_HOST",
        "A_DB_PORT",
        "A_DB_USER",
        "A_DB_PASSWORD",
        "A_DB_NAME",
        "A_DB_URL",
        "A_DB_SSLMODE",
        "A_DB_OPTIONS",
        "TRIBUTARY_BIND",
        "TRIBUTARY_WORKERS",
        "TRIBUTARY_LOG",
        "TRIBUTARY_LOG_FORMAT",
        "TRIBUTARY_TOKENS",
        "TRIBUTARY_CONFIG",
        "RUST_LOG",
        "ADMIN_TOKEN",
        "ADMIN_TOKEN_FILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        let mut environment = good.clone();
        environment.retain(|(known, _)| *known != name);
        environment.push((name, bad));
        let (code, said) = said_of(directory.path(), &environment, &["check"]);
        assert!(code == Some(1) && said.contains(name) && said.contains("UTF-8"), "{name}: {said}");
    }
}
