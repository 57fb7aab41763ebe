//! Files of records: every record that counts as written can be read back, and changed files are detected.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;
use tributary::records::{PublicKey, Record, Verified, verify};

use crate::support::{Database, Setup, TestApp, connect, eventually_async, repository};

/// A service without databases, and the file that its records go to.
struct Recording {
    directory: TempDir,
    settings: String,
}

impl Recording {
    fn with(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write(
            "graph.yaml",
            "flow: double\ninput: { n: { type: integer } }\nnodes: { d: { type: RuleNode, rules: d.grl } }\noutcomes: [ { status: ok, when: \"d.m >= 0\", body: { m: d.m } } ]\n",
        );
        write("d.grl", "rule \"Double\" no-loop { when n >= 0 then m = n * 2; }\n");
        Self { directory, settings: settings.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("decisions.ndjson")
    }

    fn start(&self) -> TestApp {
        self.start_with(&[])
    }

    fn start_with(&self, variables: &[(&str, &str)]) -> TestApp {
        let config = self.directory.path().join("service.yaml");
        let to = if self.settings.contains("to: table") { "" } else { "to: file, " };
        let settings = self.settings.trim_start_matches(", ");
        let text = format!("records: {{ {to}path: {}, {settings} }}\n", self.path().display());
        std::fs::write(&config, text).unwrap();
        let graphs = vec![self.directory.path().join("graph.yaml")];
        let setup = Setup { graphs, config: Some(config), ..Setup::default() };
        TestApp::start(variables.iter().fold(setup, |setup, (name, value)| setup.set(name, value)))
    }

    /// Runs a service for the inputs `from..to`, and stops it.
    async fn decide(&self, from: u64, to: u64) {
        let app = self.start();
        for n in from..to {
            decide(&app, n).await;
        }
        wait_written(&app, to - from).await;
    }
}

async fn decide(app: &TestApp, n: u64) {
    assert_eq!(app.post("/flows/double", format!("{{\"n\":{n}}}")).await.status, 200);
}

async fn wait_written(app: &TestApp, count: u64) {
    let written = async || app.get("/health").await.json()["records"]["written"] == count;
    eventually_async("the records are written", written).await;
}

/// The input of each record that can be read in `files`.
fn inputs(files: &[&Path]) -> Vec<u64> {
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect();
    let records = text.lines().filter_map(|line| Record::parse(line).ok());
    records.map(|record| record.input.at(["n"]).unwrap().to_string().parse().unwrap()).collect()
}

#[actix_web::test]
async fn records_follow_a_file_that_is_moved_or_deleted_while_the_service_runs() {
    let recording = Recording::with("");
    let (path, moved) = (recording.path(), recording.directory.path().join("moved"));
    let app = recording.start();
    decide(&app, 1).await;
    wait_written(&app, 1).await;
    std::fs::rename(&path, &moved).unwrap();
    decide(&app, 2).await;
    wait_written(&app, 2).await;
    assert_eq!((inputs(&[&moved]), inputs(&[&path])), (vec![1], vec![2]));
    std::fs::remove_file(&path).unwrap();
    decide(&app, 3).await;
    wait_written(&app, 3).await;
    assert_eq!(inputs(&[&path]), [3]);
}

#[actix_web::test]
async fn every_record_that_counts_as_written_is_found_while_files_are_moved_under_load() {
    let recording = Recording::with(", when_full: wait");
    let path = recording.path();
    let app = recording.start();
    let moves = async {
        for number in 0..20 {
            eventually_async("records arrive", async || path.metadata().is_ok_and(|file| file.len() > 0)).await;
            std::fs::rename(&path, recording.directory.path().join(format!("moved-{number}"))).unwrap();
        }
    };
    let client = async |first: u64| {
        for n in 0..200 {
            decide(&app, first + n).await;
        }
    };
    futures_util::future::join(moves, futures_util::future::join_all((0..4).map(|each| client(each * 200)))).await;
    wait_written(&app, 800).await;
    let moved: Vec<PathBuf> =
        (0..20).map(|number| recording.directory.path().join(format!("moved-{number}"))).chain([path]).collect();
    let mut found = inputs(&moved.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    found.sort_unstable();
    assert_eq!(found, (0..800).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_torn_last_line_loses_only_that_line() {
    for settings in ["", ", chain: true"] {
        let recording = Recording::with(settings);
        recording.decide(0, 3).await;
        let path = recording.path();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.get(..text.len() - 40).unwrap()).unwrap();
        recording.decide(3, 5).await;
        assert_eq!(inputs(&[&path]), [0, 1, 3, 4], "with {settings:?}");
    }
}

/// Verifies the lines of a chain through several files after `change`.
async fn verified(change: impl FnOnce(&Path)) -> Result<Verified, String> {
    let recording = Recording::with(", chain: true, max_bytes: 1000");
    recording.decide(0, 6).await;
    recording.decide(6, 9).await;
    assert!(recording.directory.path().join("decisions.ndjson.1").exists(), "there is more than one file");
    change(&recording.path());
    let directory = format!("{}/", recording.directory.path().display());
    verify(&recording.path(), None).map_err(|broken| broken.to_string().replace(&directory, ""))
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(path, lines.into_iter().map(|line| line + "\n").collect::<String>()).unwrap();
}

/// The first rotated file.
fn oldest(path: &Path) -> PathBuf {
    let aside = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    (1..100).map(aside).take_while(|file| file.exists()).last().unwrap()
}

#[actix_web::test]
async fn a_chain_continues_over_rotations_and_restarts_and_shows_the_first_changed_line() {
    let complete = verified(|_| {}).await.unwrap();
    assert_eq!((complete.records, complete.first, complete.last), (9, 1, 9));
    assert!(complete.files > 1);

    let changed =
        verified(|path| edit(&oldest(path), |lines| lines[1] = lines[1].replace("\"n\":1}", "\"n\":7}"))).await;
    assert!(changed.unwrap_err().contains(":2: this line was changed"));
    let removed = verified(|path| edit(&oldest(path), |lines| drop(lines.remove(1)))).await;
    assert!(removed.unwrap_err().contains(":2: 1 lines were removed before this line: it is number 3, after 1"));
    let swapped = verified(|path| edit(&oldest(path), |lines| lines.swap(0, 1))).await;
    assert!(swapped.unwrap_err().contains(":2: this line was moved or repeated: it is number 1, after 2"));
    let repeated = verified(|path| edit(path, |lines| lines.push(lines[0].clone()))).await;
    assert!(repeated.unwrap_err().contains("this line was moved or repeated"));
    let destroyed = verified(|path| edit(&oldest(path), |lines| lines[1] = "{".to_owned())).await;
    assert!(destroyed.unwrap_err().contains(":2: this line was changed"));
    let without_oldest = verified(|path| std::fs::remove_file(oldest(path)).unwrap()).await.unwrap();
    assert!(without_oldest.first > 1 && without_oldest.last == 9);
    let without_newest =
        verified(|path| std::fs::rename(format!("{}.1", path.display()), path).unwrap()).await.unwrap();
    assert!(without_newest.last < 9, "only a seal protects the end of a chain");
}

fn program(arguments: &[&str]) -> (i32, String, String) {
    crate::support::run(repository(), &[], arguments)
}

#[actix_web::test]
async fn a_rotated_file_is_signed_and_only_its_key_verifies_it() {
    let recording = Recording::with(", chain: true, max_bytes: 1000, signing_key: records.key");
    let directory = recording.directory.path();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    std::fs::write(directory.join("records.key"), key.serialize_pem()).unwrap();
    std::fs::write(directory.join("records.pub"), key.public_key_pem()).unwrap();
    std::fs::write(directory.join("other.pub"), other.public_key_pem()).unwrap();
    recording.decide(0, 6).await;
    let path = recording.path().display().to_string();
    let right = directory.join("records.pub").display().to_string();
    let wrong = directory.join("other.pub").display().to_string();

    let (code, text, _) = program(&["records", "verify", &path, "--public-key", &right, "--format", "json"]);
    let verified: Json = serde_json::from_str(&text).unwrap();
    assert_eq!((code, verified["verified"]["records"].as_u64()), (0, Some(6)));
    assert!(verified["verified"]["seals"].as_u64() > Some(0));
    let (code, _, text) = program(&["records", "verify", &path, "--public-key", &wrong]);
    assert_eq!(code, 1);
    assert!(text.contains("was not made with the private key"), "{text}");
    let key = PublicKey::read(&directory.join("records.key")).err().map(|error| error.to_string());
    assert!(key.is_some_and(|error| error.contains("records.key")));
    // Replay skips seals.
    let graph = directory.join("graph.yaml").display().to_string();
    let (code, text, errors) = program(&["replay", &format!("{path}.1"), "--graph", &graph]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
}

#[actix_web::test]
async fn a_chain_has_one_writer_and_does_not_continue_records_without_a_chain() {
    let recording = Recording::with(", chain: true");
    let app = recording.start();
    let serve = || {
        let (config, graph) =
            (recording.directory.path().join("service.yaml"), recording.directory.path().join("graph.yaml"));
        let (config, graph) = (config.display().to_string(), graph.display().to_string());
        program(&["serve", "--config", &config, "--graph", &graph, "--bind", "127.0.0.1:0"])
    };
    let (code, _, text) = serve();
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("another process writes to"), "{text}");
    drop(app);
    std::fs::write(recording.path(), "{\"record\":1}\n").unwrap();
    let (code, _, text) = serve();
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("has records without a chain"), "{text}");
}

#[actix_web::test]
async fn each_record_is_in_its_table_exactly_once_while_the_database_ends_its_sessions() {
    let database = Database::with(tributary::records::TABLE).await;
    let recording = Recording::with(", to: table, when_full: wait, queue: 8");
    let app = recording.start_with(&[("RECORDS_DB_URL", &database.url())]);
    let ends = async {
        let client = connect(&database.url()).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ILIKE ANY ('{%decision_records%,COMMIT}')";
        let mut ended = 0;
        eventually_async("sessions are ended", async || {
            ended += client.query_one(end, &[]).await.unwrap().get::<_, i64>(0);
            ended >= 10
        })
        .await;
    };
    let decisions = async {
        for n in 0..600 {
            decide(&app, n).await;
        }
    };
    futures_util::future::join(ends, decisions).await;
    wait_written(&app, 600).await;
    let client = connect(&database.url()).await;
    let count =
        "SELECT count(*), count(DISTINCT (record -> 'input' ->> 'n')::int) FROM decision_records WHERE flow = 'double'";
    let row = client.query_one(count, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (600, 600));
    let line: String = client.query_one("SELECT record::text FROM decision_records LIMIT 1", &[]).await.unwrap().get(0);
    assert!(Record::parse(&line).is_ok(), "{line}");
}

#[actix_web::test]
async fn a_missing_table_fails_no_decision_and_health_shows_the_remedy() {
    let database = Database::empty().await;
    let app = Recording::with(", to: table").start_with(&[("RECORDS_DB_URL", &database.url())]);
    decide(&app, 1).await;
    let health = async || app.get("/health").await.json()["records"].clone();
    eventually_async("the failure shows", async || health().await["failed"] == 1).await;
    let error = health().await["last_error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("tributary schema records"), "{error}");
    let (code, text, _) = program(&["schema", "records"]);
    assert_eq!((code, text.as_str()), (0, tributary::records::TABLE));
    let (code, text, _) = program(&["schema", "effects"]);
    assert_eq!((code, text.as_str()), (0, tributary::postgres::EFFECT_TABLES));
}
