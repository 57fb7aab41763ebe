//! A domain's database, examined step by step as whoever sets it up would: is it there, does it let us in, does it suit the
//! queries. For people who ask, never on a decision's way; it reads catalogues and plans, and runs no query of a graph.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value as Json;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::connect::Connector;
use super::failure::ConnectError;
use super::query::Query;
use super::words;
use crate::config::{DomainConfig, SslMode};

/// The oldest version that is supported.
const OLDEST: i32 = 120_000;
/// A scan of a table with more rows than this should be by an index.
const LARGE: f64 = 5_000.0;
/// Clocks may differ by so many seconds.
const SKEW: f64 = 1.0;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may be better.
    Warning,
    /// It does not work.
    Failure,
}

/// What a step found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The step.
    pub step: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub saw: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Examines the database of `config` and these queries of it. A step that fails ends the examination where the next
/// ones need it.
pub async fn examine(config: &DomainConfig, queries: &[&Query]) -> Vec<Finding> {
    let mut examination = Examination { config, findings: Vec::new() };
    if examination.resolve().await
        && examination.reach().await
        && let Some(client) = examination.log_in().await
    {
        let outcome = examination.look(&client, queries).await;
        if let Err(error) = outcome {
            let why = ConnectError::of(&error).to_string();
            examination.find("catalogues", Verdict::Failure, why, Some("try again: the connection broke off"));
        }
    }
    examination.findings
}

struct Examination<'a> {
    config: &'a DomainConfig,
    findings: Vec<Finding>,
}

/// A table that the queries read, as SQL writes it.
type Table = (String, String);

impl Examination<'_> {
    fn find(&mut self, step: &'static str, verdict: Verdict, saw: String, remedy: Option<&str>) {
        self.findings.push(Finding { step, verdict, saw, remedy: remedy.map(str::to_owned) });
    }

    fn variable(&self, key: &str) -> String {
        format!("{}_{key}", self.config.name.as_str().to_uppercase())
    }

    /// Whether any host has an address.
    async fn resolve(&mut self) -> bool {
        let mut any = false;
        for (host, port) in &self.config.connection.hosts.clone() {
            if host.starts_with('/') {
                any = true;
                continue;
            }
            let found = timeout(self.config.timeouts.connect, lookup_host((host.as_str(), *port))).await;
            match found.map(|found| found.map(|addresses| addresses.map(|at| at.ip().to_string()).collect::<Vec<_>>()))
            {
                Ok(Ok(addresses)) if !addresses.is_empty() => {
                    any = true;
                    self.find("resolve", Verdict::Ok, format!("{host} is {}", addresses.join(", ")), None);
                }
                _ => {
                    let remedy = format!("mend {} or the name service", self.variable("HOST"));
                    self.find("resolve", Verdict::Failure, format!("{host} has no address"), Some(&remedy));
                }
            }
        }
        any
    }

    /// Whether anything listens at any host.
    async fn reach(&mut self) -> bool {
        let mut any = false;
        for (host, port) in &self.config.connection.hosts.clone() {
            if host.starts_with('/') {
                any = true;
                continue;
            }
            let seen = match timeout(self.config.timeouts.connect, TcpStream::connect((host.as_str(), *port))).await {
                Ok(Ok(_)) => {
                    any = true;
                    self.find("connect", Verdict::Ok, format!("{host}:{port} listens"), None);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} ms", self.config.timeouts.connect.as_millis()),
            };
            let remedy = format!("start the server, open the way to it, or mend {}", self.variable("PORT"));
            self.find("connect", Verdict::Failure, format!("{host}:{port}: {seen}"), Some(&remedy));
        }
        any
    }

    async fn log_in(&mut self) -> Option<Client> {
        let connector = Connector::new(self.config);
        match timeout(connector.patience(), connector.dial()).await {
            Ok(Ok((client, task))) => {
                // It ends with the client.
                drop(task);
                let (user, database) = (&self.config.connection.user, &self.config.connection.database);
                self.find("log in", Verdict::Ok, format!("as {user} to {database}"), None);
                Some(client)
            }
            outcome => {
                let why = match outcome {
                    Ok(Err(error)) => ConnectError::of(&error),
                    _ => ConnectError::late(connector.patience()),
                };
                let remedy = format!(
                    "see {}, {} and {}, and the server's pg_hba.conf",
                    self.variable("USER"),
                    self.variable("PASSWORD_FILE"),
                    self.variable("SSLMODE"),
                );
                self.find("log in", Verdict::Failure, why.to_string(), Some(&remedy));
                None
            }
        }
    }

    async fn look(&mut self, client: &Client, queries: &[&Query]) -> Result<(), tokio_postgres::Error> {
        self.encryption(client).await?;
        self.version(client).await?;
        self.clock(client).await?;
        self.room(client).await?;
        let mut tables = BTreeSet::new();
        for query in queries {
            self.plan(client, query, &mut tables).await?;
        }
        self.rights(client, &tables).await
    }

    async fn encryption(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT ssl, version, cipher FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
        let row = client.query_opt(sql, &[]).await?;
        let used = row.as_ref().is_some_and(|row| row.try_get(0).unwrap_or(false));
        if let Some(row) = row.filter(|_| used) {
            let text = |index| row.try_get::<_, Option<String>>(index).ok().flatten().unwrap_or_default();
            let mode = self.config.connection.tls.mode;
            let looks = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
            let saw = format!("{} with {}, sslmode {}", text(1), text(2), mode.word());
            let remedy =
                format!("set {} to verify-full: nobody looks at the server's certificate", self.variable("SSLMODE"));
            let verdict = if looks { Verdict::Ok } else { Verdict::Warning };
            self.find("TLS", verdict, saw, Some(remedy.as_str()).filter(|_| !looks));
            return Ok(());
        }
        let local = self.config.connection.hosts.iter().all(|(host, _)| {
            host.starts_with('/')
                || host == "localhost"
                || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        });
        if local {
            self.find("TLS", Verdict::Ok, "none, on this machine".to_owned(), None);
        } else {
            let remedy = format!("turn TLS on at the server, and set {} to verify-full", self.variable("SSLMODE"));
            self.find("TLS", Verdict::Warning, "none: rows travel in the open".to_owned(), Some(&remedy));
        }
        Ok(())
    }

    async fn version(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4, \
                   pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery()";
        let row = client.query_one(sql, &[]).await?;
        let (number, name, standby): (i32, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let saw = format!("PostgreSQL {name}{}", if standby { ", a standby" } else { "" });
        if number < OLDEST {
            self.find("version", Verdict::Failure, saw, Some("PostgreSQL 12 is the oldest that is supported"));
        } else {
            self.find("version", Verdict::Ok, saw, None);
        }
        Ok(())
    }

    async fn clock(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = now();
        let row = client.query_one("SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8", &[]).await?;
        let middle = (before + now()) / 2;
        let skew = row.try_get::<_, f64>(0)? - middle.as_secs_f64();
        let saw = format!("{skew:+.3} s from this machine's");
        if skew.abs() > SKEW {
            self.find("clock", Verdict::Warning, saw, Some("have both machines keep time (NTP)"));
        } else {
            self.find("clock", Verdict::Ok, saw, None);
        }
        Ok(())
    }

    async fn room(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT pg_catalog.current_setting('max_connections')::int8 \
                   - pg_catalog.current_setting('superuser_reserved_connections')::int8, \
                   (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')";
        let row = client.query_one(sql, &[]).await?;
        let (most, used): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let wanted = i64::try_from(self.config.pool.max).unwrap_or(i64::MAX);
        let saw = format!("{used} of {most} connections in use; this domain may take {wanted} for each replica");
        if wanted > most.saturating_sub(used) {
            let remedy = format!("raise the server's max_connections, or lower `pool.max` of {}", self.config.name);
            self.find("room", Verdict::Warning, saw, Some(&remedy));
        } else {
            self.find("room", Verdict::Ok, saw, None);
        }
        Ok(())
    }

    /// How a query would be run, whatever its parameters.
    async fn plan(
        &mut self,
        client: &Client,
        query: &Query,
        tables: &mut BTreeSet<Table>,
    ) -> Result<(), tokio_postgres::Error> {
        let node = query.node();
        let plan = match explained(client, query).await {
            Ok(plan) => plan,
            Err(error) => {
                let Some(answer) = error.as_db_error() else { return Err(error) };
                let saw = format!("node `{node}`: {} (SQLSTATE {})", answer.message(), answer.code().code());
                self.find("query", Verdict::Failure, saw, Some("`tributary check --db` shows the place in the graph"));
                return Ok(());
            }
        };
        let (mut scanned, mut read) = (BTreeSet::new(), BTreeSet::new());
        walk(&plan, &mut scanned, &mut read);
        tables.extend(read);
        let mut large = Vec::new();
        for table in scanned {
            let sql = "SELECT c.reltuples::float8 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
                       ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
            let rows = client.query_opt(sql, &[&table.0, &table.1]).await?;
            let rows = rows.map_or(Ok(0.0), |row| row.try_get::<_, f64>(0))?;
            if rows > LARGE {
                large.push(format!("{} ({rows:.0} rows)", quoted(&table)));
            }
        }
        if large.is_empty() {
            self.find("query", Verdict::Ok, format!("node `{node}` reads by indexes, or little"), None);
        } else {
            let saw = format!("node `{node}` reads the whole of {}", large.join(", "));
            self.find("query", Verdict::Warning, saw, Some("create an index on the columns that its WHERE compares"));
        }
        Ok(())
    }

    /// Whether the role could do more than read.
    async fn rights(&mut self, client: &Client, tables: &BTreeSet<Table>) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT rolsuper, rolname::text FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
        let row = client.query_one(sql, &[]).await?;
        let (is_super, role): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        if is_super {
            let remedy = "make a role of its own: CREATE ROLE ... LOGIN; GRANT SELECT ON the tables TO it";
            self.find("role", Verdict::Warning, format!("{role} is a superuser"), Some(remedy));
            return Ok(());
        }
        let mut writable = Vec::new();
        for table in tables {
            let sql = "SELECT pg_catalog.has_table_privilege($1::text, 'INSERT, UPDATE, DELETE, TRUNCATE')";
            if client.query_one(sql, &[&quoted(table)]).await?.try_get::<_, bool>(0)? {
                writable.push(quoted(table));
            }
        }
        if writable.is_empty() {
            self.find("role", Verdict::Ok, format!("{role} may only read what the queries read"), None);
        } else {
            let remedy = format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {} FROM {role}", writable.join(", "));
            self.find("role", Verdict::Warning, format!("{role} may write {}", writable.join(", ")), Some(&remedy));
        }
        Ok(())
    }
}

/// The plan of a query for parameters that are not known. Nothing is executed.
async fn explained(client: &Client, query: &Query) -> Result<Json, tokio_postgres::Error> {
    let params = client.prepare(query.text()).await?.params().len();
    let (text, nulls) = (words::open_ended(query.text()), words::nulls(params));
    client.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    client.batch_execute(&format!("PREPARE tributary_doctor AS {text}\n")).await?;
    let said = client.simple_query(&format!("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE tributary_doctor{nulls}")).await;
    client.batch_execute("DEALLOCATE tributary_doctor; RESET plan_cache_mode").await?;
    let text: String = said?
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// The tables of a plan: those that are read whole, and all.
fn walk(plan: &Json, scanned: &mut BTreeSet<Table>, read: &mut BTreeSet<Table>) {
    match plan {
        Json::Array(parts) => parts.iter().for_each(|part| walk(part, scanned, read)),
        Json::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Json::as_str).map(str::to_owned);
            if let Some(name) = text("Relation Name") {
                let table = (text("Schema").unwrap_or_else(|| "public".to_owned()), name);
                if text("Node Type").is_some_and(|kind| kind.ends_with("Seq Scan")) {
                    scanned.insert(table.clone());
                }
                read.insert(table);
            }
            fields.values().for_each(|value| walk(value, scanned, read));
        }
        _ => {}
    }
}

fn quoted((schema, name): &Table) -> String {
    format!("{}.{}", words::quoted(schema), words::quoted(name))
}

/// The longest that examining a domain with so many queries should take.
pub fn patience(config: &DomainConfig, queries: usize) -> Duration {
    let each = config.timeouts.query.saturating_mul(u32::try_from(queries).unwrap_or(u32::MAX).saturating_add(4));
    config.timeouts.connect.saturating_mul(3).saturating_add(each)
}
