//! The faults, each as what is done and what undoes it. `main.rs` asserts over them; `chaos.rs` prints a table of them.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::rig::Rig;
use crate::support::{DOMAINS, Fault as Network, connect};

/// Something that goes wrong, and what may then be answered.
pub struct Fault {
    /// What it is, for people.
    pub name: &'static str,
    /// Whose database it concerns; none where it concerns all four.
    pub domain: Option<&'static str>,
    /// What is done.
    pub strike: Strike,
    /// The codes of problems that are honest under it. Where it is not `passing`, one of them must be seen.
    pub codes: &'static [&'static str],
    /// Whether it may go by without one problem.
    pub passing: bool,
}

/// What is done to a database, its server, or the way there.
#[derive(Debug, Clone, Copy)]
pub enum Strike {
    /// SIGKILL to the whole family of processes; undone by a restart on its port.
    Kill,
    /// SIGSTOP to the whole family; undone by SIGCONT.
    Freeze,
    /// The network; undone by one that works.
    Network(Network),
    /// Every connection is reset once.
    Cut,
    /// Every connection is half-closed once.
    HalfClose,
    /// The server ends every session once.
    Terminate,
    /// Others take every connection slot.
    Slots,
    /// Another session holds this table.
    Lock(&'static str),
    /// Statements that do it, and that undo it.
    Sql(&'static str, &'static str),
}

/// Sessions that keep a fault going.
pub type Held = Vec<Client>;

/// While it is not yet known that a database hangs, queries wait for its connections until there are too many.
const GONE: &[&str] = &["domain_unavailable", "domain_overloaded", "connection_lost", "timeout"];
const REFUSED: &[&str] = &["query_failed"];

const fn fault(name: &'static str, domain: &'static str, strike: Strike, codes: &'static [&'static str]) -> Fault {
    Fault { name, domain: Some(domain), strike, codes, passing: false }
}

const fn passing(name: &'static str, domain: &'static str, strike: Strike) -> Fault {
    Fault { name, domain: Some(domain), strike, codes: GONE, passing: true }
}

const fn of_all(name: &'static str, strike: Strike) -> Fault {
    Fault { name, domain: None, strike, codes: GONE, passing: false }
}

/// Servers that die or hang.
pub const SERVERS: [Fault; 4] = [
    fault("the server is killed", "oms_db", Strike::Kill, GONE),
    fault("the server is frozen", "inventory_db", Strike::Freeze, GONE),
    of_all("all four servers are killed", Strike::Kill),
    of_all("all four servers are frozen", Strike::Freeze),
];

/// Networks that fail.
pub const NETWORKS: [Fault; 7] = [
    passing("connections are cut", "supplier_db", Strike::Cut),
    passing("connections are half-closed", "uom_db", Strike::HalfClose),
    passing("everything arrives 50 ms late", "oms_db", Strike::Network(Network::Delay(Duration::from_millis(50)))),
    fault("nothing arrives until later", "inventory_db", Strike::Network(Network::Stall), GONE),
    fault("everything is lost in silence", "supplier_db", Strike::Network(Network::DropSilently), GONE),
    of_all("everything is lost from all four", Strike::Network(Network::DropSilently)),
    Fault { passing: true, ..of_all("all connections are cut", Strike::Cut) },
];

/// Servers that live and do not serve.
pub const SESSIONS: [Fault; 5] = [
    passing("every session is ended", "oms_db", Strike::Terminate),
    Fault { passing: true, ..of_all("every session of all four is ended", Strike::Terminate) },
    fault("every slot is taken", "inventory_db", Strike::Slots, GONE),
    fault("a lock is held", "supplier_db", Strike::Lock("suppliers"), &["timeout", "domain_overloaded"]),
    fault(
        "the disk is full",
        "oms_db",
        Strike::Sql(
            "ALTER TABLE oms_history RENAME TO kept;
             CREATE FUNCTION write() RETURNS numeric LANGUAGE plpgsql AS
                $$ BEGIN RAISE 'could not write: no space left on device' USING ERRCODE = '53100'; END $$;
             CREATE VIEW oms_history AS SELECT product_id, write() AS avg_daily_demand, trend FROM kept",
            "DROP VIEW oms_history; DROP FUNCTION write; ALTER TABLE kept RENAME TO oms_history",
        ),
        &["query_aborted"],
    ),
];

/// A column of `table` that is NULL until it is again what it was.
macro_rules! null {
    ($domain:literal, $table:literal, $column:literal, $codes:expr) => {
        fault(
            concat!($column, " is NULL"),
            $domain,
            Strike::Sql(
                concat!(
                    "CREATE TABLE kept AS SELECT * FROM ",
                    $table,
                    "; ALTER TABLE ",
                    $table,
                    " ALTER ",
                    $column,
                    " DROP NOT NULL; UPDATE ",
                    $table,
                    " SET ",
                    $column,
                    " = NULL"
                ),
                concat!(
                    "UPDATE ",
                    $table,
                    " SET ",
                    $column,
                    " = kept.",
                    $column,
                    " FROM kept WHERE kept.product_id = ",
                    $table,
                    ".product_id; DROP TABLE kept; ALTER TABLE ",
                    $table,
                    " ALTER ",
                    $column,
                    " SET NOT NULL"
                ),
            ),
            $codes,
        )
    };
}

/// Databases that are not what they were.
pub const DATA: [Fault; 12] = [
    fault(
        "the table is gone",
        "uom_db",
        Strike::Sql("ALTER TABLE uom_conversions RENAME TO kept", "ALTER TABLE kept RENAME TO uom_conversions"),
        REFUSED,
    ),
    fault(
        "a column is retyped",
        "inventory_db",
        Strike::Sql(
            "ALTER TABLE inventory DROP CONSTRAINT inventory_available_qty_check;
             ALTER TABLE inventory ALTER available_qty TYPE text",
            "ALTER TABLE inventory ALTER available_qty TYPE numeric(12, 2) USING available_qty::numeric",
        ),
        &["query_failed", "rule_error", "unmappable_column"],
    ),
    fault(
        "a row is there twice",
        "oms_db",
        Strike::Sql(
            "ALTER TABLE oms_history DROP CONSTRAINT oms_history_pkey;
             CREATE TABLE kept AS SELECT * FROM oms_history; INSERT INTO oms_history SELECT * FROM kept",
            "DELETE FROM oms_history; INSERT INTO oms_history SELECT * FROM kept; DROP TABLE kept;
             ALTER TABLE oms_history ADD PRIMARY KEY (product_id)",
        ),
        &["too_many_rows"],
    ),
    fault(
        "the permission is revoked",
        "supplier_db",
        Strike::Sql("REVOKE SELECT ON suppliers FROM service", "GRANT SELECT ON suppliers TO service"),
        REFUSED,
    ),
    fault(
        "the rows are gone",
        "inventory_db",
        Strike::Sql(
            "CREATE TABLE kept AS SELECT * FROM inventory; DELETE FROM inventory",
            "INSERT INTO inventory SELECT * FROM kept; DROP TABLE kept",
        ),
        &["not_found"],
    ),
    null!("inventory_db", "inventory", "available_qty", &["rule_error"]),
    null!("oms_db", "oms_history", "avg_daily_demand", &["rule_error"]),
    null!("supplier_db", "suppliers", "unit_price", &["rule_error"]),
    null!("supplier_db", "suppliers", "moq", &["rule_error"]),
    null!("supplier_db", "suppliers", "lead_time", &["rule_error"]),
    Fault { passing: true, ..null!("oms_db", "oms_history", "trend", &[]) },
    Fault { passing: true, ..null!("uom_db", "uom_conversions", "conversion_factor", &[]) },
];

impl Fault {
    /// The domains it concerns.
    pub fn domains(&self) -> Vec<&'static str> {
        self.domain.map_or_else(|| DOMAINS.to_vec(), |domain| vec![domain])
    }

    /// Does it. What is returned must be kept until [`Self::mend`].
    pub async fn strike(&self, rig: &Rig) -> Held {
        let mut held = Vec::new();
        for domain in self.domains() {
            held.extend(self.strike.at(rig, domain).await);
        }
        held
    }

    /// Undoes it.
    pub async fn mend(&self, rig: &Rig, held: Held) {
        for domain in self.domains() {
            let (server, proxy) = (rig.family.server(domain), rig.family.proxy(domain));
            match self.strike {
                Strike::Kill => server.restart().expect("the server starts again on its port"),
                Strike::Freeze => server.thaw(),
                Strike::Network(fault) => {
                    if fault == Network::DropSilently {
                        // The server was never told that those sessions ended; they would keep its few slots.
                        proxy.cut();
                    }
                    proxy.set(Network::None);
                }
                Strike::Sql(_, mend) => rig.run(domain, mend).await,
                Strike::Cut | Strike::HalfClose | Strike::Terminate | Strike::Slots | Strike::Lock(_) => {}
            }
        }
        drop(held);
    }
}

impl Strike {
    async fn at(self, rig: &Rig, domain: &str) -> Held {
        let (server, proxy) = (rig.family.server(domain), rig.family.proxy(domain));
        match self {
            Self::Kill => server.kill_family(),
            Self::Freeze => server.freeze(),
            Self::Network(fault) => proxy.set(fault),
            Self::Cut => proxy.cut(),
            Self::HalfClose => proxy.half_close(),
            Self::Terminate => terminate(&connect(&rig.family.url(domain)).await).await,
            Self::Slots => return take_slots(&rig.family.url(domain)).await,
            Self::Lock(table) => {
                let client = connect(&rig.family.url(domain)).await;
                let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
                client.batch_execute(&lock).await.expect("the table is locked");
                return vec![client];
            }
            Self::Sql(strike, _) => rig.run(domain, strike).await,
        }
        Vec::new()
    }
}

async fn terminate(client: &Client) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'service'";
    client.batch_execute(end).await.expect("the sessions are ended");
}

/// Takes every free slot, then those of the service, as often as it gets one back.
async fn take_slots(url: &str) -> Held {
    let mut held = vec![connect(url).await];
    for _ in 0..200 {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                held.push(client);
            }
            Err(_) => {
                let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'service'";
                let left: i64 = held[0].query_one(left, &[]).await.expect("the server counts").get(0);
                if left == 0 {
                    return held;
                }
                terminate(&held[0]).await;
            }
        }
    }
    panic!("the slots cannot be taken");
}
