//! Four servers with many products each, and what pgbench makes of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::NamedTempFile;
use tributary::demo::DATABASES;

use crate::server::{Server, sql};

const SETTINGS: [(&str, &str); 2] = [("max_connections", "600"), ("shared_buffers", "64MB")];

/// Four servers, each with its database.
pub struct Databases {
    /// By variable of the environment, such as `OMS_DB_URL`.
    pub servers: Vec<(String, Server)>,
    /// How many products each holds.
    pub products: usize,
    /// The certificate of all servers, if they have TLS.
    certificate: Option<NamedTempFile>,
}

impl Databases {
    /// Starts and fills them.
    pub async fn start(products: usize) -> Self {
        Self::start_with(&SETTINGS, products).await
    }

    /// Starts them with these settings, and fills them.
    pub async fn start_with(settings: &[(&str, &str)], products: usize) -> Self {
        Self::fill(start_servers(settings), products, None).await
    }

    /// Starts and fills them; the URLs ask for TLS.
    pub async fn start_with_tls(products: usize) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let servers = start_servers(&SETTINGS);
        for server in &servers {
            server.put_file("server.crt", &certificate).expect("written");
            server.put_file("server.key", &key.serialize_pem()).expect("written");
            server.put_file("postgresql.auto.conf", "ssl = on\n").expect("written");
            server.restart().expect("restarted");
        }
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), certificate).expect("written");
        Self::fill(servers, products, Some(file)).await
    }

    async fn fill(started: Vec<Server>, products: usize, certificate: Option<NamedTempFile>) -> Self {
        let mut servers = Vec::new();
        for (server, database) in started.into_iter().zip(DATABASES) {
            sql::create_database(&server.url("postgres"), &database.name).await.expect("a database");
            let url = server.url(&database.name);
            sql::run(&url, &database.file, &database.sql).await.expect("its table");
            sql::run(&url, "products", &rows(&database.name, products)).await.expect("its rows");
            servers.push((format!("{}_URL", database.name.to_uppercase()), server));
        }
        Self { servers, products, certificate }
    }

    /// The file of the certificate that all servers have, if they have TLS.
    pub fn certificate(&self) -> Option<&Path> {
        self.certificate.as_ref().map(NamedTempFile::path)
    }

    /// Their URLs, in the order of [`DATABASES`].
    pub fn urls(&self) -> Vec<String> {
        let words = if self.certificate.is_some() { "?sslmode=require" } else { "" };
        let servers = self.servers.iter().zip(DATABASES);
        servers.map(|((_, server), database)| format!("{}{words}", server.url(&database.name))).collect()
    }

    /// The variables that tell the service of them.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.servers.iter().map(|(variable, _)| variable.clone()).zip(self.urls()).collect()
    }

    /// Queries a second of the slowest of four pgbench at once, each with so many clients on its own server.
    pub fn pgbench(&self, clients: usize, time: Duration) -> Option<f64> {
        let runs: Vec<_> = self
            .urls()
            .iter()
            .zip(DATABASES)
            .map(|(url, database)| Pgbench::start(url, &statement(&database.name, self.products), clients, time))
            .collect();
        runs.into_iter().filter_map(|run| run?.finish()).map(|figures| figures.rate).reduce(f64::min)
    }
}

fn start_servers(settings: &[(&str, &str)]) -> Vec<Server> {
    DATABASES.iter().map(|_| Server::disposable(settings).expect("a server")).collect()
}

/// What one pgbench found.
pub struct PgbenchFigures {
    /// Queries a second.
    pub rate: f64,
    /// The mean of the latencies, in milliseconds.
    pub latency: f64,
    /// Statements in all.
    pub statements: f64,
}

/// A pgbench that runs.
pub struct Pgbench {
    child: Child,
    _script: NamedTempFile,
}

impl Pgbench {
    /// Starts pgbench with prepared statements; nothing if it is not installed.
    pub fn start(url: &str, statement: &str, clients: usize, time: Duration) -> Option<Self> {
        let script = NamedTempFile::new().expect("a file");
        std::fs::write(&script, statement).expect("written");
        // Its time begins before it connects, which takes a while with many clients.
        let seconds = time.as_secs().max(1) + clients as u64 / 64;
        let mut command = Command::new(program()?);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=1"]);
        command.args([format!("--client={clients}"), format!("--time={seconds}")]);
        command.arg("--file").arg(script.path()).arg(url).stdout(Stdio::piped()).stderr(Stdio::null());
        Some(Self { child: command.spawn().expect("pgbench runs"), _script: script })
    }

    /// Waits until it ends; nothing if it failed.
    pub fn finish(self) -> Option<PgbenchFigures> {
        let output = self.child.wait_with_output().expect("pgbench ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figure = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let statements = figure("number of transactions actually processed: ")?;
        Some(PgbenchFigures { rate: figure("tps = ")?, latency: figure("latency average = ")?, statements })
    }
}

fn program() -> Option<PathBuf> {
    let given = std::env::var_os("PG_BIN").map(PathBuf::from);
    let debian = (12..=20).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let path =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    given
        .into_iter()
        .chain(debian)
        .chain(path)
        .map(|directory| directory.join("pgbench"))
        .find(|file| Path::exists(file))
}

fn statement(database: &str, products: usize) -> String {
    let query = match database {
        "oms_db" => "SELECT product_id, avg_daily_demand, trend FROM oms_history",
        "inventory_db" => "SELECT product_id, available_qty, reserved_qty, warehouse_location FROM inventory",
        "supplier_db" => "SELECT product_id, supplier_name, unit_price, moq, lead_time FROM suppliers",
        _ => "SELECT product_id, from_uom, to_uom, conversion_factor FROM uom_conversions",
    };
    format!("\\set n random(1, {products})\n{query} WHERE product_id = 'B-' || lpad((:n)::text, 6, '0');\n")
}

fn rows(database: &str, products: usize) -> String {
    let id = "'B-' || lpad(n::text, 6, '0')";
    let (table, columns) = match database {
        "oms_db" => ("oms_history (product_id, avg_daily_demand, trend)", "50 + n % 100, 'stable'"),
        "inventory_db" => {
            ("inventory (product_id, available_qty, reserved_qty, warehouse_location)", "n % 700, 0, 'WH-A-01'")
        }
        "supplier_db" => (
            "suppliers (product_id, supplier_name, unit_price, moq, lead_time)",
            "'ABC Supplies Co.', 1.5 + n % 90, 100, 7",
        ),
        _ => ("uom_conversions (product_id, from_uom, to_uom, conversion_factor)", "'pieces', 'box', 12"),
    };
    format!("INSERT INTO {table} SELECT {id}, {columns} FROM generate_series(1, {products}) n; ANALYZE")
}
