//! The tables that effects need in the database that they write to, and the statements on them.

use std::sync::Arc;

use crate::config::Coalescing;
use crate::graph::Query;
use crate::types::NodeId;

/// The tables of effects.
///
/// `tributary_keys` has a row for each key: who sent it, for which flow and inputs, and the answer. A caller without a token is
/// the empty text. `tributary_outbox` has the columns of Debezium's outbox event router
/// (<https://debezium.io/documentation/reference/stable/transformations/outbox-event-router.html>).
pub const EFFECT_TABLES: &str = "\
-- The tables of effects, in each database that an effect writes to, in a schema of the search_path of the write role.
-- A key of a request, with the answer that it got.
CREATE TABLE IF NOT EXISTS tributary_keys (
    caller     text NOT NULL,
    flow       text NOT NULL,
    key        text NOT NULL,
    inputs     text NOT NULL,
    decision   uuid NOT NULL,
    status     integer CHECK (status BETWEEN 200 AND 499),
    answer     text,
    effect     text,
    approval   text CHECK (approval IN ('pending', 'approved', 'rejected', 'dropped')),
    request    text,
    params     text,
    resolution text,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller, flow, key)
);
CREATE UNIQUE INDEX IF NOT EXISTS tributary_keys_approvals ON tributary_keys (decision) WHERE approval IS NOT NULL;
CREATE INDEX IF NOT EXISTS tributary_keys_expiry ON tributary_keys (expires_at) WHERE approval IS DISTINCT FROM 'pending';

-- An event that waits to be sent, or was sent. Of one aggregate, position is the order of commit.
CREATE TABLE IF NOT EXISTS tributary_outbox (
    id            uuid PRIMARY KEY,
    aggregatetype text NOT NULL,
    aggregateid   text NOT NULL,
    type          text NOT NULL,
    payload       jsonb NOT NULL,
    position      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at       timestamptz
);
CREATE INDEX IF NOT EXISTS tributary_outbox_waiting ON tributary_outbox (aggregatetype, aggregateid, position)
    WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS tributary_outbox_sent ON tributary_outbox (sent_at) WHERE sent_at IS NOT NULL;
-- GRANT SELECT, INSERT, UPDATE, DELETE ON tributary_keys, tributary_outbox TO tributary_writer;
";

/// The channel that is notified of new events.
pub const EVENT_CHANNEL: &str = "tributary_outbox";

/// The statements on the tables of effects. They are made once for each flow, because what is prepared on a connection belongs to one
/// of them.
#[derive(Debug)]
pub struct EffectStatements {
    /// Claims a key: caller, flow, key, inputs, decision, lifetime in seconds, effect, status, answer, approval, request, params. It
    /// waits for another transaction that claims the same key, and is refused as a unique violation where the key is taken.
    pub claim: Arc<Query>,
    /// Finds the answer of a key: caller, flow, key.
    pub find: Arc<Query>,
    /// Has all replicas confirm a key that must confirm a commit: caller, flow, key. The row is visible before they have, where its
    /// transaction was interrupted or the server has crashed. Locking it is a write, whose commit waits for them.
    pub confirm: Arc<Query>,
    /// Lists the approvals of a flow that wait: flow.
    pub pending: Arc<Query>,
    /// Counts them, and tells how many seconds the oldest has waited: flow.
    pub waiting: Arc<Query>,
    /// Finds an approval: flow, decision.
    pub approval: Arc<Query>,
    /// As `approval`, and has the replicas confirm it, as `confirm` does.
    pub confirmed_approval: Arc<Query>,
    /// Resolves an approval that waits: flow, decision, approval, resolution, lifetime in seconds. Writes no row where it does not wait.
    pub resolve: Arc<Query>,
    /// Stores the result of an approval: flow, decision, resolution.
    pub resolved: Arc<Query>,
    /// Writes an event: id, aggregate type, aggregate id, type, payload. It has a lock before it takes its position, so that until COMMIT
    /// no other transaction writes an event of the same aggregate.
    pub announce: Arc<Query>,
    /// Deletes keys that have expired, those of waiting approvals excepted, without waiting for locks.
    pub expire: Arc<Query>,
    /// Tells which role the session has, and whether it is a superuser.
    pub role: Arc<Query>,
}

const APPROVAL: &str = "SELECT decision, caller, key, effect, request, params, answer, claimed_at, approval, resolution \
                        FROM tributary_keys WHERE flow = $1 AND decision = $2 AND approval IS NOT NULL";

impl EffectStatements {
    /// The statements. Their errors name `owner`.
    pub fn new(owner: &NodeId) -> Self {
        let of = |text: &str, rows| Query::new(owner.clone(), text, Coalescing::Off, rows);
        Self {
            claim: of(
                "INSERT INTO tributary_keys (caller, flow, key, inputs, decision, expires_at, effect, status, answer, \
                 approval, request, params) VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6::bigint * interval '1 second', \
                 $7, $8, $9, $10, $11, $12)",
                1,
            ),
            find: of(
                "SELECT inputs, decision, status, answer FROM tributary_keys WHERE caller = $1 AND flow = $2 AND key = $3",
                1,
            ),
            confirm: of("SELECT key FROM tributary_keys WHERE caller = $1 AND flow = $2 AND key = $3 FOR KEY SHARE", 1),
            pending: of(
                "SELECT decision, caller, key, effect, request, params, answer, claimed_at FROM tributary_keys \
                 WHERE approval = 'pending' AND flow = $1 ORDER BY claimed_at, decision LIMIT 1000",
                1_000,
            ),
            waiting: of(
                "SELECT count(*) AS approvals, \
                 coalesce(extract(epoch FROM clock_timestamp() - min(claimed_at)), 0)::float8 AS seconds \
                 FROM tributary_keys WHERE approval = 'pending' AND flow = $1",
                1,
            ),
            approval: of(APPROVAL, 1),
            confirmed_approval: of(&format!("{APPROVAL} FOR KEY SHARE"), 1),
            resolve: of(
                "UPDATE tributary_keys SET approval = $3, resolution = $4, \
                 expires_at = greatest(expires_at, clock_timestamp() + $5::bigint * interval '1 second') \
                 WHERE flow = $1 AND decision = $2 AND approval = 'pending'",
                1,
            ),
            resolved: of("UPDATE tributary_keys SET resolution = $3 WHERE flow = $1 AND decision = $2", 1),
            announce: of(
                "WITH held AS MATERIALIZED \
                 (SELECT pg_catalog.pg_advisory_xact_lock(hashtextextended($2::text || ' ' || $3::text, 1))) \
                 INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload) \
                 SELECT $1::uuid, $2::text, $3::text, $4::text, $5::jsonb FROM held",
                1,
            ),
            expire: of(
                "DELETE FROM tributary_keys WHERE (caller, flow, key) IN (SELECT caller, flow, key FROM tributary_keys \
                 WHERE expires_at < clock_timestamp() AND approval IS DISTINCT FROM 'pending' \
                 ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED)",
                1,
            ),
            role: of(
                "SELECT rolname::text AS role, rolsuper AS is_superuser FROM pg_catalog.pg_roles WHERE rolname = current_user",
                1,
            ),
        }
    }

    /// Those that need the tables of the service and the rights on them.
    pub fn of_tables(&self) -> [&Query; 7] {
        [&self.claim, &self.find, &self.approval, &self.resolve, &self.resolved, &self.announce, &self.expire]
    }
}
