-- What lies in which warehouse, what of it is reserved, and for which orders.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS stock (
    warehouse  VARCHAR(20) NOT NULL,
    product_id VARCHAR(20) NOT NULL,
    on_hand    INTEGER     NOT NULL CHECK (on_hand >= 0),
    reserved   INTEGER     NOT NULL DEFAULT 0 CHECK (reserved BETWEEN 0 AND on_hand),
    PRIMARY KEY (product_id, warehouse)
);

INSERT INTO stock (warehouse, product_id, on_hand, reserved) VALUES
    ('Aston',  'LAMP',   80, 10),
    ('Burton', 'LAMP',   60,  0),
    ('Corby',  'LAMP',   50, 20),
    ('Dover',  'LAMP',  300,  0),
    ('Dover',  'CHAIR',  40,  0)
ON CONFLICT (product_id, warehouse) DO NOTHING;

-- An order is reserved once.
CREATE TABLE IF NOT EXISTS reservations (
    reservation BIGINT      GENERATED ALWAYS AS IDENTITY,
    order_id    VARCHAR(20) PRIMARY KEY,
    product_id  VARCHAR(20) NOT NULL,
    quantity    INTEGER     NOT NULL CHECK (quantity > 0)
);

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
