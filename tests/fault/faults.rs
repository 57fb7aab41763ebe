//! The faults, each with the action that causes it and the one that undoes it. `databases.rs` asserts over them, and `chaos.rs` prints a
//! table.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::rig::Rig;
use crate::support::{DOMAINS, Fault as Network, connect};

/// A fault, and the answers that are acceptable under it.
pub struct Fault {
    /// Its description.
    pub name: &'static str,
    /// The domain that it affects. `None` for all four.
    pub domain: Option<&'static str>,
    /// What is done.
    pub action: Action,
    /// The acceptable problem codes. Unless it is `transient`, one of them must occur.
    pub codes: &'static [&'static str],
    /// Whether it may cause no problem at all.
    pub transient: bool,
}

/// What is done to a database, its server, or the network.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// SIGKILL to all processes of the server. Undone by a restart on its port.
    Kill,
    /// SIGSTOP to all processes of the server. Undone by SIGCONT.
    Freeze,
    /// A fault of the network.
    Network(Network),
    /// SIGKILL to the service of the domain. Undone by a start at its port.
    KillService,
    /// SIGSTOP to the service of the domain. Undone by SIGCONT.
    FreezeService,
    /// A fault of the network to the service of the domain.
    ServiceNetwork(Network),
    /// Every connection to the service of the domain is reset once.
    CutService,
    /// Every connection to the service of the domain is half-closed once.
    HalfCloseService,
    /// Every connection is reset once.
    Cut,
    /// Every connection is half-closed once.
    HalfClose,
    /// The server ends every session once.
    Terminate,
    /// Another client takes every connection slot.
    Slots,
    /// Another session locks this table.
    Lock(&'static str),
    /// Statements, and the statements that undo them.
    Sql(&'static str, &'static str),
}

/// Sessions that sustain a fault.
pub type Held = Vec<Client>;

/// The codes of an outage. Before it is detected that a database hangs, queries wait for its connections until there are too many.
const OUTAGE: &[&str] = &["domain_unavailable", "domain_overloaded", "connection_lost", "timeout"];
const REFUSED: &[&str] = &["query_failed"];

const fn fault(name: &'static str, domain: &'static str, action: Action, codes: &'static [&'static str]) -> Fault {
    Fault { name, domain: Some(domain), action, codes, transient: false }
}

const fn transient(name: &'static str, domain: &'static str, action: Action) -> Fault {
    Fault { name, domain: Some(domain), action, codes: OUTAGE, transient: true }
}

const fn of_all(name: &'static str, action: Action) -> Fault {
    Fault { name, domain: None, action, codes: OUTAGE, transient: false }
}

/// Servers that fail or hang.
pub const SERVERS: [Fault; 4] = [
    fault("the server is killed", "oms_db", Action::Kill, OUTAGE),
    fault("the server is frozen", "inventory_db", Action::Freeze, OUTAGE),
    of_all("all four servers are killed", Action::Kill),
    of_all("all four servers are frozen", Action::Freeze),
];

/// Networks that fail.
pub const NETWORKS: [Fault; 7] = [
    transient("connections are cut", "supplier_db", Action::Cut),
    transient("connections are half-closed", "uom_db", Action::HalfClose),
    transient("packets are delayed by 50 ms", "oms_db", Action::Network(Network::Delay(Duration::from_millis(50)))),
    fault("the network stalls", "inventory_db", Action::Network(Network::Stall), OUTAGE),
    fault("all packets are dropped", "supplier_db", Action::Network(Network::DropSilently), OUTAGE),
    of_all("all packets of all four are dropped", Action::Network(Network::DropSilently)),
    Fault { transient: true, ..of_all("all connections are cut", Action::Cut) },
];

/// Servers that run but do not serve.
pub const SESSIONS: [Fault; 5] = [
    transient("every session is ended", "oms_db", Action::Terminate),
    Fault { transient: true, ..of_all("every session of all four is ended", Action::Terminate) },
    fault("every slot is taken", "inventory_db", Action::Slots, OUTAGE),
    fault("a lock is held", "supplier_db", Action::Lock("suppliers"), &["timeout", "domain_overloaded"]),
    fault(
        "the disk is full",
        "oms_db",
        Action::Sql(
            "ALTER TABLE oms_history RENAME TO kept;
             CREATE FUNCTION write() RETURNS numeric LANGUAGE plpgsql AS
                $$ BEGIN RAISE 'could not write: no space left on device' USING ERRCODE = '53100'; END $$;
             CREATE VIEW oms_history AS SELECT product_id, write() AS avg_daily_demand, trend FROM kept",
            "DROP VIEW oms_history; DROP FUNCTION write; ALTER TABLE kept RENAME TO oms_history",
        ),
        &["query_aborted"],
    ),
];

/// One domain whose service, or the network to it, fails.
pub const SERVICE: [Fault; 11] = [
    fault("the service is killed", "oms_db", Action::KillService, OUTAGE),
    fault("the service is frozen", "oms_db", Action::FreezeService, OUTAGE),
    transient(
        "packets to the service are delayed by 50 ms",
        "oms_db",
        Action::ServiceNetwork(Network::Delay(Duration::from_millis(50))),
    ),
    transient("connections to the service are cut", "oms_db", Action::CutService),
    transient("connections to the service are half-closed", "oms_db", Action::HalfCloseService),
    transient("new connections to the service are reset", "oms_db", Action::ServiceNetwork(Network::Refuse)),
    fault("requests to the service are cut", "oms_db", Action::ServiceNetwork(Network::CutRequests), OUTAGE),
    fault("answers of the service are cut", "oms_db", Action::ServiceNetwork(Network::CutAnswers), OUTAGE),
    fault("the network to the service stalls", "oms_db", Action::ServiceNetwork(Network::Stall), OUTAGE),
    fault("all packets to the service are dropped", "oms_db", Action::ServiceNetwork(Network::DropSilently), OUTAGE),
    fault("the server behind the service is frozen", "oms_db", Action::Freeze, OUTAGE),
];

/// The services of all domains, or the networks to them, fail.
pub const SERVICES: [Fault; 5] = [
    of_all("all four services are killed", Action::KillService),
    of_all("all four services are frozen", Action::FreezeService),
    of_all("all answers of all four services are cut", Action::ServiceNetwork(Network::CutAnswers)),
    of_all("all packets to all four services are dropped", Action::ServiceNetwork(Network::DropSilently)),
    Fault { transient: true, ..of_all("all connections to all four services are cut", Action::CutService) },
];

/// Sets a column of `table` to NULL, and restores it.
macro_rules! null {
    ($domain:literal, $table:literal, $column:literal, $codes:expr) => {
        fault(
            concat!($column, " is NULL"),
            $domain,
            Action::Sql(
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

/// Databases with changed schema or data.
pub const DATA: [Fault; 12] = [
    fault(
        "the table is missing",
        "uom_db",
        Action::Sql("ALTER TABLE uom_conversions RENAME TO kept", "ALTER TABLE kept RENAME TO uom_conversions"),
        REFUSED,
    ),
    fault(
        "a column is retyped",
        "inventory_db",
        Action::Sql(
            "ALTER TABLE inventory DROP CONSTRAINT inventory_available_qty_check;
             ALTER TABLE inventory ALTER available_qty TYPE text",
            "ALTER TABLE inventory ALTER available_qty TYPE numeric(12, 2) USING available_qty::numeric",
        ),
        &["query_failed", "rule_error", "unmappable_column"],
    ),
    fault(
        "a row is duplicated",
        "oms_db",
        Action::Sql(
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
        Action::Sql("REVOKE SELECT ON suppliers FROM service", "GRANT SELECT ON suppliers TO service"),
        REFUSED,
    ),
    fault(
        "the rows are deleted",
        "inventory_db",
        Action::Sql(
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
    Fault { transient: true, ..null!("oms_db", "oms_history", "trend", &[]) },
    Fault { transient: true, ..null!("uom_db", "uom_conversions", "conversion_factor", &[]) },
];

impl Fault {
    /// The domains that it affects.
    pub fn domains(&self) -> Vec<&'static str> {
        self.domain.map_or_else(|| DOMAINS.to_vec(), |domain| vec![domain])
    }

    /// Injects the fault. The returned sessions must be kept until [`Self::undo`].
    pub async fn inject(&self, rig: &Rig) -> Held {
        let mut held = Vec::new();
        for domain in self.domains() {
            held.extend(self.action.run(rig, domain).await);
        }
        held
    }

    /// Undoes the fault.
    pub async fn undo(&self, rig: &Rig, held: Held) {
        for domain in self.domains() {
            let (server, proxy) = (rig.family.server(domain), rig.family.proxy(domain));
            match self.action {
                Action::Kill => server.restart().expect("the server starts again on its port"),
                Action::Freeze => server.thaw(),
                Action::Network(fault) => {
                    if fault == Network::DropSilently {
                        // The server has not seen the end of those sessions, which would keep its few slots.
                        proxy.cut();
                    }
                    proxy.set(Network::None);
                }
                Action::KillService => rig.service(domain).0.restart(),
                Action::FreezeService => rig.service(domain).0.thaw(),
                Action::ServiceNetwork(_) => rig.service(domain).1.set(Network::None),
                Action::Sql(_, undo) => rig.run(domain, undo).await,
                Action::CutService
                | Action::HalfCloseService
                | Action::Cut
                | Action::HalfClose
                | Action::Terminate
                | Action::Slots
                | Action::Lock(_) => {}
            }
        }
        drop(held);
    }
}

impl Action {
    async fn run(self, rig: &Rig, domain: &str) -> Held {
        let (server, proxy) = (rig.family.server(domain), rig.family.proxy(domain));
        match self {
            Self::Kill => server.kill_family(),
            Self::Freeze => server.freeze(),
            Self::Network(fault) => proxy.set(fault),
            Self::KillService => rig.service(domain).0.kill(),
            Self::FreezeService => rig.service(domain).0.freeze(),
            Self::ServiceNetwork(fault) => rig.service(domain).1.set(fault),
            Self::CutService => rig.service(domain).1.cut(),
            Self::HalfCloseService => rig.service(domain).1.half_close(),
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
            Self::Sql(statements, _) => rig.run(domain, statements).await,
        }
        Vec::new()
    }
}

async fn terminate(client: &Client) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'service'";
    client.batch_execute(end).await.expect("the sessions are ended");
}

/// Takes every free slot, and then those of the service by ending its sessions.
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
