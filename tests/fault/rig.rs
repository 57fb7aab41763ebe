//! The environment of the fault tests: four servers with the sample data, each behind a proxy, a fifth for an unrelated flow, and the
//! files of the service. Any of the four may be served by a `tributary domain`, which is behind a proxy as well.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value as Json;
use tributary::config::Coalescing;

use crate::load::UNRELATED;
use crate::support::{
    DOMAINS, DomainService, PrivateFamily, Proxy, Server, Setup, coalescing, eventually_async, repository, sql,
};

/// `max_connections` of the servers, including the slots reserved for the superuser.
const SLOTS: &str = "40";
/// The role of the service. It is no superuser, so that privileges have an effect.
const ROLE: &str = "CREATE ROLE service LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO service;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO service";

/// A flow whose rule changes its own condition endlessly.
const ENDLESS: &str = r#"
flow: endless
path: /endless
input: { n: { type: integer } }
nodes:
  climb: { type: RuleNode, rules: endless.grl, facts: { height: 0 } }
outcomes: [{ status: arrived, when: "climb.height < 0", message: "arrived" }]
"#;
const ENDLESS_RULES: &str = r#"rule "Climb" { when height >= 0 then height = height + input.n; }"#;

/// Short timeouts for queries, so that hanging ones end soon. Settings that affect recovery have their defaults.
fn service_config() -> String {
    let coalesce = if coalescing() == Coalescing::Off { "off" } else { "auto" };
    format!(
        "domains: {{ defaults: {{ pool: {{ coalesce: {coalesce} }}, timeouts: {{ query_ms: 1000, acquire_ms: 500 }} }} }}\n"
    )
}

/// Four servers for faults, one without, and the files of the service.
pub struct Rig {
    /// The servers of the purchasing flow.
    pub family: PrivateFamily,
    /// The server of the flow that no fault affects.
    pub calm: Server,
    services: Vec<(&'static str, DomainService, Proxy)>,
    files: tempfile::TempDir,
}

impl Rig {
    /// Starts and fills the servers.
    pub async fn start() -> Self {
        let family = PrivateFamily::start_with(&[("max_connections", SLOTS)]).await;
        for domain in DOMAINS {
            sql::run(&family.url(domain), "role", ROLE).await.expect("the role is made");
        }
        let calm = Server::disposable(&[("max_connections", SLOTS)]).expect("a server");
        let things = "CREATE TABLE things (id integer PRIMARY KEY, name text); INSERT INTO things VALUES (1, 'calm')";
        sql::run(&calm.url("postgres"), "things", things).await.expect("the calm server is filled");
        let files = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            ("unrelated.yaml", UNRELATED),
            ("endless.yaml", ENDLESS),
            ("endless.grl", ENDLESS_RULES),
            ("service.yaml", &service_config()),
        ] {
            std::fs::write(files.path().join(name), text).expect("the file is written");
        }
        Self { family, calm, services: Vec::new(), files }
    }

    /// Starts and fills the servers, with a service before each of the databases of `served`.
    pub async fn start_serving(served: &'static [&'static str]) -> Self {
        let mut rig = Self::start().await;
        let environment = rig.environment();
        for domain in served {
            let graph = repository().join("graph.yaml");
            let service = DomainService::start(domain, graph, rig.config(), environment.clone());
            let proxy = Proxy::to(service.port());
            rig.services.push((domain, service, proxy));
        }
        rig
    }

    /// The service of a domain, and the proxy in front of it.
    pub fn service(&self, domain: &str) -> (&DomainService, &Proxy) {
        let found = self.services.iter().find(|(served, ..)| *served == domain);
        found.map(|(_, service, proxy)| (service, proxy)).expect("a domain that is a service")
    }

    /// The flow files.
    pub fn graphs(&self) -> Vec<PathBuf> {
        let file = |name| self.files.path().join(name);
        vec![repository().join("graph.yaml"), file("unrelated.yaml"), file("endless.yaml")]
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.files.path().join("service.yaml")
    }

    /// The URLs of databases and services. The four go through their proxies, to databases with a role that may only read.
    pub fn environment(&self) -> Vec<(String, String)> {
        let through_proxies = self.family.environment_through_proxies().into_iter();
        let mut environment: Vec<_> =
            through_proxies.map(|(name, url)| (name, url.replace("//postgres@", "//service@"))).collect();
        for (domain, _, proxy) in &self.services {
            let name = format!("{}_URL", domain.to_uppercase());
            let url = format!("http://127.0.0.1:{}", proxy.port());
            environment.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, known)| known.clone_from(&url));
        }
        environment.push(("CALM_DB_URL".to_owned(), self.calm.url("postgres")));
        environment
    }

    /// The setup of a service in this process.
    pub fn setup(&self) -> Setup {
        let environment = self.environment().into_iter().collect();
        Setup { graphs: self.graphs(), config: Some(self.config()), environment, ..Setup::default() }
    }

    /// Runs statements on a domain's database as the superuser, without the proxy.
    pub async fn run(&self, domain: &str, statements: &str) {
        sql::run(&self.family.url(domain), "the fault", statements).await.expect("the statements succeed");
    }

    /// The number of sessions of the service on a domain's server.
    pub async fn sessions(&self, domain: &str) -> i64 {
        let client = crate::support::connect(&self.family.url(domain)).await;
        let query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'";
        client.query_one(query, &[]).await.expect("the server counts its sessions").get(0)
    }
}

/// Waits until every domain reports that it is ready.
pub async fn wait_ready(client: &reqwest::Client, address: SocketAddr) {
    eventually_async("every domain is ready", async || {
        let Ok(answer) = client.get(format!("http://{address}/health")).send().await else { return false };
        answer.json::<Json>().await.is_ok_and(|health| health["status"] == "pass")
    })
    .await;
}
