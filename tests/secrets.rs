//! Secrets come from files, are read again when they change, and are shown nowhere: not in logs, errors, health, metrics, answers.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value as Json;
use support::{Process, Server, Setup, TestApp, eventually_async, sql};
use tributary::actors::domain::Fault;
use tributary::config::new_token;
use tributary::demo::DATABASES;
use tributary::types::DomainName;

/// A part of every secret of these tests.
const PLANTED: &str = "xyzzy-planted";
/// The connections that a pool keeps where nothing is configured.
const KEPT: u64 = 5;

/// A server whose role `clerk` needs a password.
struct Guarded {
    server: Server,
    directory: tempfile::TempDir,
}

impl Guarded {
    async fn new(password: &str) -> Self {
        let server = Server::disposable(&[("max_connections", "200")]).expect("a server");
        let admin = server.url("postgres");
        for database in DATABASES {
            sql::create_database(&admin, &database.name).await.expect("a database");
            let url = server.url(&database.name);
            sql::run(&url, &database.file, &database.sql).await.expect("its table");
        }
        sql::run(&admin, "role", &format!("CREATE ROLE clerk LOGIN PASSWORD '{password}'")).await.expect("a role");
        for database in DATABASES {
            let grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk";
            sql::run(&server.url(&database.name), "grants", grant).await.expect("granted");
        }
        let rules = "local all all trust\nhost all postgres all trust\nhost all clerk all scram-sha-256\n";
        server.put_file("pg_hba.conf", rules).expect("written");
        server.reload();
        Self { server, directory: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(file), text).expect("written");
        self.path(file)
    }

    async fn run(&self, statement: &str) {
        sql::run(&self.server.url("postgres"), "the test", statement).await.expect("the statement runs");
    }

    /// The variables that say where each domain's database is, and that `clerk` asks it.
    fn places(&self) -> impl Iterator<Item = (String, String)> + '_ {
        DATABASES.into_iter().flat_map(|database| {
            let prefix = database.name.to_uppercase();
            [
                ("HOST", self.server.host().to_owned()),
                ("PORT", self.server.port().to_string()),
                ("USER", "clerk".to_owned()),
            ]
            .map(|(key, value)| (format!("{prefix}_{key}"), value))
        })
    }

    /// The program, at the log level `trace`.
    fn program(&self, subcommand: &str, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg(subcommand).arg("--config").arg(self.path("service.yaml"));
        let own = Some(self.path("inline.yaml")).filter(|path| path.exists());
        for graph in [Path::new("graph.yaml").to_owned()].into_iter().chain(own) {
            command.arg("--graph").arg(graph);
        }
        command.env_clear().envs([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1"), ("TRIBUTARY_LOG_FORMAT", "json")]);
        command.envs(self.places()).envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }

    /// Starts the service; its output goes to a file.
    fn serve(&self, environment: &[(&str, &str)]) -> Program {
        let output = File::create(self.path("output.log")).expect("a file");
        let mut command = self.program("serve", environment);
        command.args(["--bind", "127.0.0.1:0"]).stdout(output.try_clone().expect("a handle")).stderr(output);
        Program {
            child: Process(command.spawn().expect("it starts")),
            output: self.path("output.log"),
            scheme: "http",
            client: reqwest::Client::new(),
        }
    }
}

struct Program {
    child: Process,
    output: PathBuf,
    scheme: &'static str,
    client: reqwest::Client,
}

impl Program {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).expect("its output")
    }

    /// The address in its log.
    async fn address(&self) -> String {
        let find = || {
            let said = self.said();
            let line = said.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
            let mut serving = line.filter(|line| line["message"] == "serving");
            serving.next().and_then(|line| line["address"].as_str().map(str::to_owned))
        };
        eventually_async("it serves", || async { find().is_some() }).await;
        find().expect("an address")
    }

    async fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address().await)
    }

    async fn get(&self, path: &str) -> String {
        self.get_with(path, "").await
    }

    async fn get_with(&self, path: &str, token: &str) -> String {
        let request = self.client.get(self.url(path).await).bearer_auth(token);
        request.send().await.expect("an answer").text().await.expect("text")
    }

    /// The first event of the stream.
    async fn events(&self, token: &str) -> String {
        let request = self.client.get(self.url("/events").await).bearer_auth(token);
        let mut answer = request.send().await.expect("an answer");
        let first = answer.chunk().await.expect("the stream goes on").expect("an event");
        String::from_utf8_lossy(&first).into_owned()
    }

    /// Stops it by SIGTERM, and returns its output.
    fn stop(&mut self) -> String {
        self.child.signal(Signal::SIGTERM);
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
        self.said()
    }

    /// Waits until every pool has its idle connections, so that no connection is being made.
    async fn is_warm(&self) {
        for database in DATABASES {
            let path = format!("/health/{}", database.name);
            eventually_async("the pool has its connections", || async {
                let health: Json = serde_json::from_str(&self.get(&path).await).expect("JSON");
                health["state"] == "ready" && health["pool"]["idle"].as_u64() >= Some(KEPT)
            })
            .await;
        }
    }

    async fn post(&self, path: &str, token: &str, body: &str) -> (u16, String) {
        let request = self.client.post(self.url(path).await).bearer_auth(token);
        let request = request.header("Content-Type", "application/json").body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

const PRODUCT: &str = r#"{"product_id": "PROD-001"}"#;

#[actix_web::test]
async fn a_rotated_password_is_used_without_a_restart_whichever_side_changes_first() {
    let (old, new, newest) = (format!("{PLANTED}-old"), format!("{PLANTED}-new"), format!("{PLANTED}-newest"));
    let guarded = Guarded::new(&old).await;
    guarded.write("service.yaml", "domains: { defaults: { timeouts: { probe_interval_ms: 200 } } }\n");
    let file = guarded.write("password", &format!("{old}\n"));
    let file = file.to_str().expect("text");
    let files: Vec<(String, &str)> =
        DATABASES.iter().map(|database| (format!("{}_PASSWORD_FILE", database.name.to_uppercase()), file)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, file)| (name.as_str(), *file)).collect();
    let program = guarded.serve(&files);
    let decides = || async { program.post("/purchasing/flow", "", PRODUCT).await.0 == 200 };
    eventually_async("it decides", decides).await;
    program.is_warm().await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'";

    // The server first: open sessions remain usable, and new ones are made once the file has the new password.
    guarded.run(&format!("ALTER ROLE clerk PASSWORD '{new}'")).await;
    assert!(decides().await, "open sessions stay good");
    guarded.run(cut).await;
    eventually_async("the old password is refused", || async {
        program.get("/health/oms_db").await.contains("the server refused the password")
    })
    .await;
    guarded.write("password", &format!("{new}\n"));
    eventually_async("the new password is used", decides).await;
    program.is_warm().await;

    // The file first.
    guarded.write("password", &format!("{newest}\n"));
    assert!(decides().await, "open sessions stay good");
    guarded.run(&format!("ALTER ROLE clerk PASSWORD '{newest}'")).await;
    guarded.run(cut).await;
    eventually_async("the newest password is used", decides).await;
    assert!(!program.said().contains(PLANTED), "a password shows in the output");
}

#[actix_web::test]
async fn no_output_of_a_run_shows_a_secret() {
    let secret = |what: &str| format!("{PLANTED}-{what}");
    let guarded = Guarded::new(&secret("password")).await;
    let (token, digest) = new_token();
    guarded.write(
        "tokens.yaml",
        &format!("tokens:\n- {{ name: erp, sha256: {digest}, flows: all, rights: [decide, explain] }}\n"),
    );
    let records = guarded.path("records.ndjson");
    // Two pairs: the listener's, and the client certificate for a database.
    let pairs = ["server", "client"].map(|name| {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        guarded.write(&format!("{name}.crt"), &certificate.self_signed(&key).expect("a certificate").pem());
        guarded.write(&format!("{name}.key"), &key.serialize_pem());
        key.serialize_pem().lines().nth(1).expect("a line of the key").to_owned()
    });
    let (host, port) = (guarded.server.host(), guarded.server.port());
    let node = |name: &str, password: &str| {
        format!(
            "  {name}: {{ type: DBNode, connection: 'postgres://clerk:{password}@{host}:{port}/oms_db', query: SELECT 1 AS n }}\n"
        )
    };
    let inline = format!(
        "flow: inline\noutcomes: [{{ status: done, message: done, body: {{ n: a.n + b.n }} }}]\nnodes:\n{}{}",
        node("a", "${INLINE_SECRET}"),
        node("b", &secret("password"))
    );
    guarded.write("inline.yaml", &inline);
    guarded.write(
        "service.yaml",
        &format!(
            "http: {{ tokens: tokens.yaml, tls: {{ certificate: server.crt, key: server.key }} }}\nrecords: {{ to: file, path: {} }}\n\
             domains: {{ defaults: {{ timeouts: {{ probe_interval_ms: 200 }} }} }}\n",
            records.display()
        ),
    );
    let password = guarded.write("password", &secret("password"));
    let admin = guarded.write("admin", &secret("admin"));
    let url = format!("postgres://clerk:{}@{host}:{port}/inventory_db", secret("password"));
    let password = password.to_str().expect("text");
    let (certificate, key) = (guarded.path("client.crt"), guarded.path("client.key"));
    let (planted, collector) = (secret("password"), format!("api-key={}", secret("collector")));
    let environment = [
        ("INLINE_SECRET", planted.as_str()),
        ("SUPPLIER_DB_SSLCERT", certificate.to_str().expect("text")),
        ("SUPPLIER_DB_SSLKEY", key.to_str().expect("text")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_HEADERS", collector.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OMS_DB_PASSWORD_FILE", password),
        ("INVENTORY_DB_URL", &url),
        ("INVENTORY_DB_HOST", ""),
        ("INVENTORY_DB_PORT", ""),
        ("INVENTORY_DB_USER", ""),
        ("SUPPLIER_DB_PASSWORD", &planted),
        ("UOM_DB_PASSWORD_FILE", password),
        ("ADMIN_TOKEN_FILE", admin.to_str().expect("text")),
    ];
    let mut program = guarded.serve(&environment);
    program.scheme = "https";
    program.client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let doctor = || {
        let output = guarded.program("doctor", &environment).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let mut said = Vec::new();
    eventually_async("it decides", || async { program.post("/purchasing/flow", &token, PRODUCT).await.0 == 200 }).await;

    // Requests that succeed and requests that fail.
    let admin = secret("admin");
    let what_if = r#"{"input": {"product_id": "PROD-001"}, "set": {"inventory_levels.available_qty": 0}}"#;
    let search = r#"{"input": {"product_id": "PROD-001"}, "facts": ["inventory_levels.available_qty"]}"#;
    for (path, token, body) in [
        ("/purchasing/flow?explain=true", token.as_str(), PRODUCT),
        ("/purchasing/flow", "wrong-token", PRODUCT),
        ("/purchasing/flow", token.as_str(), "{"),
        ("/purchasing/flow/what-if", admin.as_str(), what_if),
        ("/purchasing/flow/flip", admin.as_str(), search),
        ("/purchasing/flow/batch", token.as_str(), &format!("[{PRODUCT}, {{}}]")),
        ("/flows/inline?explain=true", token.as_str(), "{}"),
        ("/console/flows/purchasing/test", token.as_str(), "{}"),
        ("/admin/reload", admin.as_str(), ""),
        ("/admin/reload", "wrong-token", ""),
        ("/admin/domains/oms_db/restart", admin.as_str(), ""),
        ("/admin/domains/nowhere/restart", admin.as_str(), ""),
    ] {
        said.push(program.post(path, token, body).await.1);
    }
    assert!(said.iter().any(|answer| answer.contains("\"n\":2")), "the inline connections are asked");
    said.push(program.events(&token).await);
    let examined = doctor();
    assert!(examined.contains("as clerk to oms_db"), "{examined}");
    said.push(examined);
    guarded.run("ALTER ROLE clerk PASSWORD 'something else'").await;
    guarded.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'").await;
    eventually_async("the password is refused", || async {
        program.get("/health/oms_db").await.contains("the server refused the password")
    })
    .await;
    said.push(program.post("/purchasing/flow?explain=true", &token, PRODUCT).await.1);
    std::fs::remove_file(guarded.path("password")).expect("removed");
    said.push(program.post("/admin/domains/oms_db/restart", &admin, "").await.1);
    guarded.server.kill_family();
    eventually_async("the database is down", || async { program.get("/health/uom_db").await.contains("\"down\"") })
        .await;
    for path in ["/health", "/metrics", "/readyz?verbose", "/openapi.json", "/flows", "/flows/inline/graph", "/"] {
        said.push(program.get_with(path, &token).await);
    }
    for flow in ["purchasing", "inline"] {
        said.push(program.get_with(&format!("/console/flows/{flow}"), &token).await);
    }
    said.push(program.events(&token).await);
    said.push(doctor());
    guarded.write("service.yaml", "http: { bind: nonsense }\n");
    said.push(program.post("/admin/reload", &admin, "").await.1);
    let whole = program.stop();
    assert!(
        whole.contains("stopping") && whole.contains("traces cannot be sent"),
        "it stopped, and logged that the collector is missing"
    );
    said.push(whole);
    said.push(std::fs::read_to_string(&records).expect("records"));
    let length: usize = said.iter().map(String::len).sum();
    assert!(length > 50_000, "a run at the level `trace` has a long log: {length}");
    for text in &said {
        for planted in [PLANTED, token.as_str(), digest.as_str(), pairs[0].as_str(), pairs[1].as_str()] {
            let around = text.find(planted).map(|at| &text[at.saturating_sub(300)..at]);
            assert!(around.is_none(), "a secret shows after: {around:?}");
        }
    }
}

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[actix_web::test]
async fn no_panic_of_an_actor_shows_a_secret() {
    // Not the secret of the other tests of this process, whose connections are logged here too.
    let planted = "plugh-planted";
    let guarded = Guarded::new(planted).await;
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || lines.clone());
    subscriber.try_init().expect("nothing else logs in this process");
    let password = guarded.write("password", planted).to_str().expect("text").to_owned();
    let setup = guarded.places().fold(Setup::shipped(), |setup, (name, value)| setup.set(&name, &value));
    let setup = DATABASES.iter().fold(setup, |setup, database| {
        let prefix = database.name.to_uppercase();
        // By a file and by a variable.
        match &*database.name {
            "oms_db" => setup.set(&format!("{prefix}_PASSWORD_FILE"), &password),
            _ => setup.set(&format!("{prefix}_PASSWORD"), planted),
        }
    });
    let app = TestApp::start(setup.set("ADMIN_TOKEN", &format!("{planted}-admin")));
    app.wait_for("/readyz", 200).await;
    for database in DATABASES {
        let handle = app.domains.get(&DomainName::parse(&database.name).expect("a name")).expect("a domain");
        for fault in [Fault::PanicInWorkers, Fault::PanicInActor] {
            handle.inject(fault);
        }
        eventually_async("the actor is replaced", async || handle.health().restarts > 0).await;
    }
    eventually_async("it decides again", async || app.purchasing("PROD-001").await.status == 200).await;
    let mut said = vec![app.get("/health").await.text, app.get("/metrics").await.text];
    drop(app);
    said.push(String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned());
    assert!(said[2].contains("domain.actor.replaced"), "the panics are in the log");
    for text in &said {
        let around = text.find(planted).map(|at| &text[at.saturating_sub(300)..at]);
        assert!(around.is_none(), "a secret shows after: {around:?}");
    }
}

/// The output of the command line for files with errors.
#[test]
fn no_error_in_a_file_shows_a_secret() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: String| {
        std::fs::write(directory.path().join(name), text).expect("written");
        directory.path().join(name)
    };
    let env = write(
        ".env",
        format!(
            "OMS_DB_URL=postgres://u:{PLANTED}@h:port/d?colour={PLANTED}\nUOM_DB_PASSWORD={PLANTED}\n\
             UOM_DB_PASSWORD_FILE=/nowhere/{PLANTED}\nSUPPLIER_DB_SSLMODE={PLANTED}\nSUPPLIER_DB_SSLKEY=/nowhere/{PLANTED}\n\
             INVENTORY_DB_PASWORD={PLANTED}\nADMIN_TOKEN={PLANTED}\nADMIN_TOKEN_FILE=/nowhere/{PLANTED}\n{PLANTED} broken line\n"
        ),
    );
    let output = check(&env);
    assert!(output.contains("error"), "{output}");
    assert!(!output.contains(PLANTED), "{output}");
}

fn check(env_file: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().args(["check", "--db", "--env-file"]).arg(env_file);
    let output = command.output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[actix_web::test]
async fn decisions_are_logged_with_their_callers_and_without_tokens() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |file: &str| directory.path().join(file);
    let write = |file: &str, text: &str| std::fs::write(path(file), text).expect("written");
    let flow = "flow: inverse\ninput: { n: { type: integer } }\nnodes: { n: { type: RuleNode, condition: \"1 / input.n > 0\" } }\n\
                outcomes: [ { status: positive, when: n.result }, { status: other } ]\n";
    write("graph.yaml", flow);
    let (token, digest) = new_token();
    write("tokens.yaml", &format!("tokens:\n- {{ name: erp, sha256: {digest}, flows: all }}\n"));
    write(
        "service.yaml",
        "http: { tokens: tokens.yaml, bind: '127.0.0.1:0' }\nlog: { format: json, decisions: true }\n",
    );
    let output = File::create(path("output.log")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory.path()).env_clear().stdin(Stdio::null()).args(["serve", "--config", "service.yaml"]);
    command.stdout(output.try_clone().expect("a handle")).stderr(output);
    let child = Process(command.spawn().expect("it starts"));
    let client = reqwest::Client::new();
    let mut program = Program { child, output: path("output.log"), scheme: "http", client };
    assert_eq!(program.post("/flows/inverse", &token, "{\"n\": 1}").await.0, 200);
    assert_eq!(program.post("/flows/inverse", &token, "{\"n\": 0}").await.0, 500);
    assert_eq!(program.post("/flows/inverse/batch", &token, "[{\"n\": 1}]").await.0, 200);
    let said = program.stop();
    assert!(!said.contains(&token[4..]), "{said}");
    let lines: Vec<Json> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let decisions: Vec<&Json> = lines.iter().filter(|line| line["decision.id"].is_string()).collect();
    let [one, failed, of_batch] = decisions.as_slice() else { panic!("three decisions: {said}") };
    assert_eq!((&one["message"], &one["outcome"]), (&"decided".into(), &"positive".into()), "{one}");
    assert_eq!((&failed["message"], &failed["error.code"]), (&"not decided".into(), &"rule_error".into()), "{failed}");
    assert!(of_batch["decision.id"].as_str().expect("an id").ends_with("/0"), "{of_batch}");
    for line in decisions {
        assert_eq!(
            (&line["level"], &line["flow"], &line["caller"]),
            (&"INFO".into(), &"inverse".into(), &"erp".into())
        );
        assert!(line["took_us"].is_number(), "{line}");
    }
}
