//! Four private servers for one test, one for each domain, so that each can be killed, frozen and restarted.

use tributary::demo::DATABASES;

use super::DOMAINS;
use super::databases::{environment, fill};
use super::proxy::Proxy;
use super::server::Server;

/// A server for each domain of the shipped flow, with its sample rows, and a proxy in front of each.
#[derive(Debug)]
pub struct PrivateFamily {
    members: Vec<(&'static str, Server, Proxy)>,
}

impl PrivateFamily {
    /// Starts and fills them.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts them with these settings, and fills them.
    pub async fn start_with(settings: &'static [(&'static str, &'static str)]) -> Self {
        let starting = DOMAINS.map(|_| tokio::task::spawn_blocking(move || Server::disposable(settings)));
        let mut members = Vec::new();
        for ((domain, database), server) in DOMAINS.into_iter().zip(&DATABASES).zip(starting) {
            let server = server.await.expect("no panic");
            let server = server.unwrap_or_else(|error| panic!("these tests need PostgreSQL: {error}"));
            fill(&server, std::slice::from_ref(database)).await;
            let proxy = Proxy::to(server.port());
            members.push((domain, server, proxy));
        }
        Self { members }
    }

    fn member(&self, domain: &str) -> &(&'static str, Server, Proxy) {
        self.members.iter().find(|(name, ..)| *name == domain).expect("a domain of the shipped flow")
    }

    /// The server of a domain, such as `oms_db`.
    pub fn server(&self, domain: &str) -> &Server {
        &self.member(domain).1
    }

    /// All of them.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.members.iter().map(|(_, server, _)| server)
    }

    /// The proxy in front of a domain's server.
    pub fn proxy(&self, domain: &str) -> &Proxy {
        &self.member(domain).2
    }

    /// The URL of a domain's database, without the proxy.
    pub fn url(&self, domain: &str) -> String {
        self.server(domain).url(domain)
    }

    /// The environment that points Tributary to the servers: `OMS_DB_URL` and so on.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(|domain| self.url(domain))
    }

    /// The environment that points Tributary to the proxies.
    pub fn environment_through_proxies(&self) -> Vec<(String, String)> {
        environment(|domain| {
            let (server, proxy) = (self.server(domain), self.proxy(domain));
            self.url(domain).replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()))
        })
    }
}
