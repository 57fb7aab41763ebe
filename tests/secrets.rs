//! Secrets come from files, are read again when they change, and show nowhere: not in logs, errors, health, metrics, answers.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;
use support::eventually_async;
use tributary::config::new_token;
use tributary::server::{DATABASES, Server, sql};

/// Every secret of these tests has this in it.
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
            sql::create_database(&admin, database.name).await.expect("a database");
            let url = server.url(database.name);
            sql::run(&url, database.file, database.sql).await.expect("its table");
        }
        sql::run(&admin, "role", &format!("CREATE ROLE clerk LOGIN PASSWORD '{password}'")).await.expect("a role");
        for database in DATABASES {
            let grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk";
            sql::run(&server.url(database.name), "grants", grant).await.expect("granted");
        }
        let rules = "local all all trust\nhost all postgres all trust\nhost all clerk all scram-sha-256\n";
        server.put_file("pg_hba.conf", rules).expect("written");
        server.reload().expect("reloaded");
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

    /// The real program, all of whose output goes to a file.
    fn serve(&self, environment: &[(&str, &str)]) -> Program {
        let output = File::create(self.path("output.log")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["serve", "--bind", "127.0.0.1:0", "--config"]);
        command.arg(self.path("service.yaml")).env_clear();
        command.envs([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1"), ("TRIBUTARY_LOG_FORMAT", "json")]);
        for database in DATABASES {
            let prefix = database.name.to_uppercase();
            command.env(format!("{prefix}_HOST"), self.server.host());
            command.env(format!("{prefix}_PORT"), self.server.port().to_string());
            command.env(format!("{prefix}_USER"), "clerk");
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a handle")).stderr(output);
        Program {
            child: command.spawn().expect("it starts"),
            output: self.path("output.log"),
            client: reqwest::Client::new(),
        }
    }
}

struct Program {
    child: Child,
    output: PathBuf,
    client: reqwest::Client,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).expect("its output")
    }

    /// Where it listens, as its log says.
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

    async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("http://{}{path}", self.address().await));
        request.send().await.expect("an answer").text().await.expect("text")
    }

    /// Waits until every pool has the connections it keeps, and none of them is in use: nothing is left to be connected then.
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
        let request = self.client.post(format!("http://{}{path}", self.address().await)).bearer_auth(token);
        let request = request.header("Content-Type", "application/json").body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }
}

const PRODUCT: &str = r#"{"product_id": "PROD-001"}"#;

#[actix_web::test]
async fn a_password_that_is_rotated_is_used_without_a_restart_whichever_side_comes_first() {
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

    // The server first: sessions that are open stay good, and new ones are made once the file says the same.
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
async fn no_secret_shows_in_anything_that_a_run_says() {
    let secret = |what: &str| format!("{PLANTED}-{what}");
    let guarded = Guarded::new(&secret("password")).await;
    let (token, digest) = new_token();
    guarded.write("tokens.yaml", &format!("tokens:\n- {{ name: erp, sha256: {digest}, flows: all }}\n"));
    let records = guarded.path("records.ndjson");
    guarded.write(
        "service.yaml",
        &format!(
            "http: {{ tokens: tokens.yaml }}\nrecords: {{ to: file, path: {} }}\n\
             domains: {{ defaults: {{ timeouts: {{ probe_interval_ms: 200 }} }} }}\n",
            records.display()
        ),
    );
    let password = guarded.write("password", &secret("password"));
    let admin = guarded.write("admin", &secret("admin"));
    let (host, port) = (guarded.server.host(), guarded.server.port());
    let url = format!("postgres://clerk:{}@{host}:{port}/inventory_db", secret("password"));
    let password = password.to_str().expect("text");
    let program = guarded.serve(&[
        ("OMS_DB_PASSWORD_FILE", password),
        ("INVENTORY_DB_URL", &url),
        ("INVENTORY_DB_HOST", ""),
        ("INVENTORY_DB_PORT", ""),
        ("INVENTORY_DB_USER", ""),
        ("SUPPLIER_DB_PASSWORD", &secret("password")),
        ("UOM_DB_PASSWORD_FILE", password),
        ("ADMIN_TOKEN_FILE", admin.to_str().expect("text")),
    ]);
    let mut said = Vec::new();
    eventually_async("it decides", || async { program.post("/purchasing/flow", &token, PRODUCT).await.0 == 200 }).await;

    // What goes well, and what does not.
    let admin = secret("admin");
    let what_if = r#"{"input": {"product_id": "PROD-001"}, "set": {"inventory_levels.available_qty": 0}}"#;
    for (path, token, body) in [
        ("/purchasing/flow?explain=true", token.as_str(), PRODUCT),
        ("/purchasing/flow", "wrong-token", PRODUCT),
        ("/purchasing/flow", token.as_str(), "{"),
        ("/purchasing/flow/what-if", admin.as_str(), what_if),
        ("/admin/reload", admin.as_str(), ""),
        ("/admin/reload", "wrong-token", ""),
        ("/admin/domains/oms_db/restart", admin.as_str(), ""),
        ("/admin/domains/nowhere/restart", admin.as_str(), ""),
    ] {
        said.push(program.post(path, token, body).await.1);
    }
    guarded.run("ALTER ROLE clerk PASSWORD 'something else'").await;
    guarded.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'").await;
    eventually_async("the password is refused", || async {
        program.get("/health/oms_db").await.contains("the server refused the password")
    })
    .await;
    said.push(program.post("/purchasing/flow?explain=true", &token, PRODUCT).await.1);
    std::fs::remove_file(guarded.path("password")).expect("removed");
    said.push(program.post("/admin/domains/oms_db/restart", &admin, "").await.1);
    guarded.server.kill_family().expect("killed");
    eventually_async("the database is down", || async { program.get("/health/uom_db").await.contains("\"down\"") })
        .await;
    for path in ["/health", "/metrics", "/readyz?verbose", "/openapi.json", "/flows"] {
        said.push(program.get(path).await);
    }
    guarded.write("service.yaml", "http: { bind: nonsense }\n");
    said.push(program.post("/admin/reload", &admin, "").await.1);
    said.push(program.said());
    said.push(std::fs::read_to_string(&records).expect("records"));
    let length: usize = said.iter().map(String::len).sum();
    assert!(length > 50_000, "a run at the level `trace` says much: {length}");
    for text in &said {
        for planted in [PLANTED, token.as_str(), digest.as_str()] {
            let around = text.find(planted).map(|at| &text[at.saturating_sub(300)..at]);
            assert!(around.is_none(), "a secret shows after: {around:?}");
        }
    }
}

/// What the command line prints of files that are wrong.
#[test]
fn no_secret_shows_in_what_is_said_of_files_that_are_wrong() {
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
