//! Examines the server after the login: encryption, version, clock, time zone, free connections, and the privileges of the role.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::plans::{Table, explained, qualified_name};
use super::{Examination, Verdict};
use crate::config::{SslMode, Statements};
use crate::graph::Query;
use crate::postgres::sql;

/// The oldest version that is supported.
const OLDEST: i32 = 120_000;
/// Two zones are considered the same if their offsets agree on each of this many days from now.
const SAME_FOR_DAYS: i32 = 400;

/// Whether PostgreSQL's zone `name` is `zone`.
fn is_same_zone(name: &str, zone: &TimeZone) -> bool {
    let Ok(other) = TimeZone::get(name) else { return false };
    let now = Timestamp::now();
    (0..SAME_FOR_DAYS).all(|day| {
        now.checked_add(SignedDuration::from_hours(24 * i64::from(day)))
            .is_ok_and(|at| zone.to_offset(at) == other.to_offset(at))
    })
}

/// The most seconds by which the clocks may differ.
const MAX_SKEW: f64 = 1.0;

impl Examination<'_> {
    pub(super) async fn examine_server(
        &mut self,
        client: &Client,
        queries: &[&Query],
    ) -> Result<(), tokio_postgres::Error> {
        self.encryption(client).await?;
        self.version(client).await?;
        self.clock(client).await?;
        self.zone(client).await?;
        self.room(client).await?;
        let mut tables = BTreeSet::new();
        for query in queries {
            self.plan(client, query, &mut tables).await?;
        }
        self.rights(client, &tables).await?;
        if self.config.pool.statements == Statements::Unprepared {
            self.defaults(client).await?;
        }
        Ok(())
    }

    async fn encryption(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT ssl, version, cipher FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
        let row = client.query_typed_opt(sql, &[]).await?;
        let used = row.as_ref().is_some_and(|row| row.try_get(0).unwrap_or(false));
        if let Some(row) = row.filter(|_| used) {
            let text = |index| row.try_get::<_, Option<String>>(index).ok().flatten().unwrap_or_default();
            let mode = self.config.connection.tls.mode;
            let verifies = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
            let saw = format!("{} with {}, sslmode {}", text(1), text(2), mode.word());
            let remedy = format!(
                "set {} to verify-full: the server's certificate is not verified",
                self.setting("SSLMODE", "sslmode")
            );
            self.check("TLS", verifies, saw, &remedy);
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
            let mode = self.setting("SSLMODE", "sslmode");
            let remedy = format!("turn TLS on at the server, and set {mode} to verify-full");
            self.find("TLS", Verdict::Warning, "none: rows are sent in plain text".to_owned(), Some(&remedy));
        }
        Ok(())
    }

    async fn version(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT pg_catalog.current_setting('server_version_num')::int4, \
                   pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery()";
        let row = client.query_typed_one(sql, &[]).await?;
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
        let sql = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8";
        let row = client.query_typed_one(sql, &[]).await?;
        let middle = (before + now()) / 2;
        let skew = row.try_get::<_, f64>(0)? - middle.as_secs_f64();
        let saw = format!("{skew:+.3} s from this machine's");
        self.check("clock", skew.abs() <= MAX_SKEW, saw, "synchronise the clocks of both machines (NTP)");
        Ok(())
    }

    /// Checks that sessions have the time zone of the rules. Behind a pooler the zone is the role's.
    async fn zone(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let row = client.query_typed_one("SELECT pg_catalog.current_setting('TimeZone')", &[]).await?;
        let (found, wanted) = (row.try_get::<_, String>(0)?, self.config.time_zone.iana_name().unwrap_or("UTC"));
        let is_same = is_same_zone(&found, &self.config.time_zone);
        let other = if is_same { String::new() } else { format!(", and the service's `time_zone` is {wanted}") };
        let remedy = format!("ALTER ROLE {} SET timezone = '{wanted}'", self.config.connection.user);
        self.check("zone", is_same, format!("sessions have the time zone {found}{other}"), &remedy);
        Ok(())
    }

    /// Checks that the server has enough free connections for the pool.
    async fn room(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT pg_catalog.current_setting('max_connections')::int8 \
                   - pg_catalog.current_setting('superuser_reserved_connections')::int8 \
                   - coalesce(pg_catalog.current_setting('reserved_connections', true)::int8, 0), \
                   (SELECT sum(numbackends)::int8 FROM pg_catalog.pg_stat_database)";
        let row = client.query_typed_one(sql, &[]).await?;
        let (max, used): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let wanted = i64::try_from(self.config.pool.max).unwrap_or(i64::MAX);
        let saw = format!("{used} of {max} connections in use; this domain may take {wanted} for each replica");
        let remedy = format!("raise the server's max_connections, or lower `pool.max` of {}", self.config.name);
        self.check("room", wanted <= max.saturating_sub(used), saw, &remedy);
        Ok(())
    }

    /// Checks that the write role can prepare the statements of effects, and is no superuser.
    pub(super) async fn may_write(
        &mut self,
        client: &Client,
        statements: &[&Query],
    ) -> Result<(), tokio_postgres::Error> {
        let mut refused = BTreeSet::new();
        for statement in statements {
            let Err(error) = explained(client, statement).await else { continue };
            let Some(answer) = error.as_db_error() else { return Err(error) };
            refused.insert(format!("{} (SQLSTATE {})", answer.message(), answer.code().code()));
        }
        let may_all = refused.is_empty();
        for why in refused {
            self.find("effects", Verdict::Failure, why, Some("`tributary check --db` shows the place and the remedy"));
        }
        let superuser =
            "create a role that may write what the effects write: `tributary schema effects` has the grants";
        if let Some(role) = self.own_role(client, superuser).await?
            && may_all
        {
            let count = statements.len();
            self.find("effects", Verdict::Ok, format!("{role} may run the {count} statements of effects"), None);
        }
        Ok(())
    }

    /// The role of the session; `None` for a superuser, of whom it warns.
    async fn own_role(&mut self, client: &Client, remedy: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let sql = "SELECT rolsuper, rolname::text FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER";
        let row = client.query_typed_one(sql, &[]).await?;
        let (is_super, role): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        if is_super {
            self.find("role", Verdict::Warning, format!("{role} is a superuser"), Some(remedy));
        }
        Ok((!is_super).then_some(role))
    }

    /// Checks that the role can only read.
    async fn rights(&mut self, client: &Client, tables: &BTreeSet<Table>) -> Result<(), tokio_postgres::Error> {
        let superuser = "create a role for the service: CREATE ROLE ... LOGIN; GRANT SELECT ON the tables TO it";
        let Some(role) = self.own_role(client, superuser).await? else { return Ok(()) };
        let mut writable = Vec::new();
        for table in tables {
            let sql = "SELECT pg_catalog.has_table_privilege($1, 'INSERT, UPDATE, DELETE, TRUNCATE')";
            if client.query_typed_one(sql, &[(&qualified_name(table), Type::TEXT)]).await?.try_get(0)? {
                writable.push(qualified_name(table));
            }
        }
        let sql = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' \
                   AND nspname <> 'information_schema' AND pg_catalog.has_schema_privilege(oid, 'CREATE') ORDER BY 1";
        let open = client.query_typed(sql, &[]).await?;
        let open = open
            .iter()
            .map(|row| row.try_get::<_, &str>(0).map(sql::quote_identifier))
            .collect::<Result<Vec<String>, _>>()?;
        if writable.is_empty() && open.is_empty() {
            let saw = format!("{role} may only read what the queries read, and create nothing");
            self.find("role", Verdict::Ok, saw, None);
        }
        if !writable.is_empty() {
            let remedy = format!("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {} FROM {role}", writable.join(", "));
            self.find("role", Verdict::Warning, format!("{role} may write {}", writable.join(", ")), Some(&remedy));
        }
        if !open.is_empty() {
            let schemas = open.join(", ");
            let remedy = format!("REVOKE CREATE ON SCHEMA {schemas} FROM PUBLIC, {role}");
            self.find("role", Verdict::Warning, format!("{role} may create tables in {schemas}"), Some(&remedy));
        }
        Ok(())
    }

    /// Checks the settings of the role, which replace those of the startup packet behind a pooler.
    async fn defaults(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sql = "SELECT pg_catalog.current_setting('default_transaction_read_only')::bool, \
                   pg_catalog.current_setting('statement_timeout') <> '0', CURRENT_USER::text";
        let row = client.query_typed_one(sql, &[]).await?;
        let (reads_only, has_timeout, role): (bool, bool, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if reads_only && has_timeout {
            let saw = format!("sessions of {role} are read only and have a statement_timeout");
            self.find("settings", Verdict::Ok, saw, None);
        }
        let role = sql::quote_identifier(&role);
        if !reads_only {
            let remedy = format!("ALTER ROLE {role} SET default_transaction_read_only = on");
            self.find("settings", Verdict::Warning, "sessions behind the pooler may write".to_owned(), Some(&remedy));
        }
        if !has_timeout {
            let limit = self.config.timeouts.query.as_millis();
            let remedy = format!("ALTER ROLE {role} SET statement_timeout = {limit}");
            let saw = "a statement behind the pooler has no time limit".to_owned();
            self.find("settings", Verdict::Warning, saw, Some(&remedy));
        }
        Ok(())
    }
}
