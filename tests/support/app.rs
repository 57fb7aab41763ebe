//! The service under test, on its own thread and a free port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use serde_json::Value as Json;
use tributary::actors::supervision::DomainSet;
use tributary::app::{App, Hangup, Project, Signals, Sources};
use tributary::config::{Arguments, Env};
use tributary::types::DomainName;

use super::{SampleDatabases, write_environment};

/// What a test service is started with.
#[derive(Default)]
pub struct Setup {
    /// Flow files.
    pub graphs: Vec<PathBuf>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// A file of variables, read again at each reload.
    pub env_file: Option<PathBuf>,
    /// The domain that it answers for, in place of the flows.
    pub domain: Option<DomainName>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

impl Setup {
    /// The shipped purchasing flow.
    pub fn shipped() -> Self {
        Self { graphs: vec![repository().join("graph.yaml")], ..Self::default() }
    }

    /// With the domains in these databases.
    pub fn on(self, databases: &SampleDatabases) -> Self {
        databases.environment().into_iter().fold(self, |setup, (name, value)| setup.set(&name, &value))
    }

    /// With the role that may write `oms_db`.
    pub fn writing(self) -> Self {
        write_environment().into_iter().fold(self, |setup, (name, value)| setup.set(&name, &value))
    }

    /// Sets a variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_string());
        self
    }

    /// Answers for the nodes of `domain`, in place of the flows.
    pub fn answering_for(self, domain: &str) -> Self {
        Self { domain: Some(DomainName::parse(domain).expect("a name")), ..self }
    }

    /// Configures `domain` by a URL.
    pub fn domain(self, domain: &str, url: &str) -> Self {
        self.set(&format!("{}_URL", domain.to_uppercase()), url)
    }
}

/// Copies the files of the shipped flow into `directory`, and returns its graph.
pub fn copy_shipped(directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory.join("rules")).expect("a directory");
    for file in ["graph.yaml", "rules/purchasing.grl", "rules/discounts.csv", "rules/purchase_order.grl"] {
        std::fs::copy(repository().join(file), directory.join(file)).expect("a copy");
    }
    directory.join("graph.yaml")
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running service.
pub struct TestApp {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its admin endpoints are, where they have an address of their own.
    pub admin: Option<SocketAddr>,
    /// Sends requests to it.
    pub client: reqwest::Client,
    /// Its domain actors, for tests that break them.
    pub domains: DomainSet,
    /// Stops it.
    pub server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// An answer: status, headers, body.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("not JSON: {error}: {}", self.text))
    }

    /// The problem's code.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestApp {
    /// Starts the service; panics with the diagnostics if it refuses its files.
    pub fn start(setup: Setup) -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let sources = Sources {
                    graphs: setup.graphs,
                    arguments: Arguments {
                        config: setup.config,
                        bind: Some("127.0.0.1:0".to_owned()),
                        ..Arguments::default()
                    },
                    env: Env::from_pairs(setup.environment),
                    env_file: setup.env_file,
                    domain: setup.domain,
                };
                let (project, _) = Project::load(&sources, None).unwrap_or_else(|found| panic!("refused:\n{found}"));
                let signals = Signals::listen(Hangup::Reloads).expect("signals");
                let app = App::build(project, sources, signals).expect("the service starts");
                let started = (app.address(), app.admin_address(), app.handle(), app.core().domains().clone());
                sender.send(started).expect("the test waits");
                app.run_until_stopped().await.expect("the service stops cleanly");
            });
        });
        let (address, admin, server, domains) =
            receiver.recv_timeout(Duration::from_secs(30)).expect("the service starts in time");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Self { address, admin, client, domains, server, thread: Some(thread) }
    }

    /// Starts the shipped service, with changes, on sample databases of its own; returns when all flows can be served.
    pub async fn shipped_with(change: impl FnOnce(Setup) -> Setup) -> (SampleDatabases, Self) {
        let databases = SampleDatabases::create().await;
        let app = Self::start(change(Setup::shipped().on(&databases)));
        app.wait_for("/readyz", 200).await;
        (databases, app)
    }

    /// As [`Self::shipped_with`], without changes.
    pub async fn shipped() -> (SampleDatabases, Self) {
        Self::shipped_with(|setup| setup).await
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts a JSON text.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(self.url(path)).header("Content-Type", "application/json").body(body);
        Self::answer(request).await
    }

    /// Asks the purchasing flow about a product.
    pub async fn purchasing(&self, product: &str) -> Answer {
        self.post("/purchasing/flow", serde_json::json!({ "product_id": product }).to_string()).await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        Self::answer(self.client.get(self.url(path))).await
    }

    /// Sends a request.
    pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("the answer is text") }
    }

    /// Waits until `path` answers `status`.
    pub async fn wait_for(&self, path: &str, status: u16) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get(path).await;
            if answer.status == status {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} still answers {}: {}", answer.status, answer.text);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the service ends without a panic");
            }
        }
    }
}
