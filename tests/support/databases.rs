//! One server for each test process, and separate databases for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};
use tributary::demo::{DATABASES, SampleDatabase, WRITER};

use super::DOMAINS;
use super::server::{Server, sql};
use super::waiting::eventually_async;

/// The server of this test process, for tests that do not break it. (A static is never dropped; the server's watchdog
/// stops it when this process ends.)
pub fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::disposable(&[("max_connections", "400")])
            .unwrap_or_else(|error| panic!("these tests need PostgreSQL: {error}"))
    })
}

/// A connection for the test itself.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the database takes connections");
    tokio::spawn(connection);
    client
}

/// A database on the shared server. It is dropped with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// An empty one.
    pub async fn empty() -> Self {
        Self::cloned_from("template1").await
    }

    /// An empty one in which these statements were run.
    pub async fn with(statements: &str) -> Self {
        let database = Self::empty().await;
        database.run(statements).await;
        database
    }

    async fn cloned_from(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}_{}", template, NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = shared_server().url("postgres");
        sql::clone_database(&admin, template, &name).await.expect("the database is created");
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's URL of it.
    pub fn url(&self) -> String {
        shared_server().url(&self.name)
    }

    /// Runs statements on it.
    pub async fn run(&self, statements: &str) {
        sql::run(&self.url(), "the test's statements", statements).await.expect("the statements succeed");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // A separate thread, because the test's runtime cannot be blocked here, and may have ended.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(sql::drop_database(&shared_server().url("postgres"), &name)).map_err(std::io::Error::other)
        });
        // A second panic would hide the first, and end the process.
        if !thread::panicking() {
            dropped.join().expect("no panic").expect("the test's database is dropped");
        }
    }
}

/// The four databases of the shipped flow with their sample rows, on the shared server, for one test.
#[derive(Debug)]
pub struct SampleDatabases {
    databases: [Database; 4],
}

impl SampleDatabases {
    /// Copies the templates, which the first test creates.
    pub async fn create() -> Self {
        static TEMPLATES: OnceCell<()> = OnceCell::const_new();
        TEMPLATES.get_or_init(create_templates).await;
        let [oms, inventory, supplier, uom] = DOMAINS.map(Database::cloned_from);
        let (oms, inventory, supplier, uom) = tokio::join!(oms, inventory, supplier, uom);
        Self { databases: [oms, inventory, supplier, uom] }
    }

    /// The database of a domain, such as `oms_db`.
    pub fn database(&self, domain: &str) -> &Database {
        let index = DOMAINS.iter().position(|known| *known == domain).expect("a domain of the shipped flow");
        &self.databases[index]
    }

    /// The URL of a domain's database.
    pub fn url(&self, domain: &str) -> String {
        self.database(domain).url()
    }

    /// The environment that points Tributary to them: `OMS_DB_URL` and so on.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(|domain| self.url(domain))
    }
}

/// Has the server confirm a commit only when the replica of this name has it, or without one where the name is empty.
pub async fn require_replica(url: &str, name: &str) {
    for statement in [&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"), "SELECT pg_reload_conf()"] {
        sql::run(url, "the setting", statement).await.expect("set");
    }
    let client = connect(url).await;
    eventually_async("the setting is in force", async || {
        let row = client.query_one("SHOW synchronous_standby_names", &[]).await.expect("the setting");
        row.get::<_, String>(0) == name
    })
    .await;
}

/// The variables of the role that may write `oms_db`, in addition to the environment that points Tributary there.
pub fn write_environment() -> Vec<(String, String)> {
    vec![("OMS_DB_WRITE_USER".to_owned(), WRITER.to_owned())]
}

/// `X_DB_URL` for each domain.
pub(super) fn environment(url: impl Fn(&str) -> String) -> Vec<(String, String)> {
    DOMAINS.iter().map(|domain| (format!("{}_URL", domain.to_uppercase()), url(domain))).collect()
}

async fn create_templates() {
    fill(shared_server(), &DATABASES).await;
}

/// Creates sample databases on `server`, and the role that writes.
pub async fn fill(server: &Server, databases: &[SampleDatabase]) {
    let admin = server.url("postgres");
    sql::run(&admin, "the write role", &format!("CREATE ROLE {WRITER} LOGIN")).await.expect("the role is created");
    for database in databases {
        sql::create_database(&admin, &database.name).await.expect("the database is created");
        let url = server.url(&database.name);
        sql::run(&url, &database.file, &database.sql).await.expect("the database is filled");
        sql::run(&url, "its grants", &database.grants).await.expect("the role may write");
    }
}
