//! The tables that effects need in the database that they write to.

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
CREATE INDEX IF NOT EXISTS tributary_outbox_waiting ON tributary_outbox (position) WHERE sent_at IS NULL;
-- GRANT SELECT, INSERT, UPDATE, DELETE ON tributary_keys, tributary_outbox TO tributary_writer;
";
