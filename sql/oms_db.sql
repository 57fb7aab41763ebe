-- Order management: how much of each product is asked for, and where demand is heading.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS oms_history (
    product_id       VARCHAR(50)    PRIMARY KEY,
    avg_daily_demand NUMERIC(12, 2) NOT NULL CHECK (avg_daily_demand >= 0),
    trend            VARCHAR(20)    NOT NULL
);

INSERT INTO oms_history (product_id, avg_daily_demand, trend) VALUES
    ('PROD-001', 150.00, 'increasing'),
    ('PROD-002',  80.50, 'stable'),
    ('PROD-003', 200.00, 'decreasing')
ON CONFLICT (product_id) DO NOTHING;

-- Purchase orders that were placed.
CREATE TABLE IF NOT EXISTS purchase_orders (
    number                 BIGINT       GENERATED ALWAYS AS IDENTITY,
    po_number              TEXT         PRIMARY KEY GENERATED ALWAYS AS
        ('PO-' || lpad(number::text, greatest(6, length(number::text)), '0')) STORED,
    product_id             VARCHAR(50)  NOT NULL,
    supplier_name          TEXT         NOT NULL,
    order_qty              NUMERIC      NOT NULL CHECK (order_qty > 0),
    order_unit             TEXT         NOT NULL,
    unit_price             NUMERIC      NOT NULL,
    total_cost             NUMERIC      NOT NULL,
    discount_amount        NUMERIC      NOT NULL,
    final_amount           NUMERIC      NOT NULL,
    tax_amount             NUMERIC      NOT NULL,
    grand_total            NUMERIC      NOT NULL,
    approval_status        TEXT         NOT NULL,
    expected_delivery_date DATE,
    ordered_at             TIMESTAMPTZ  NOT NULL DEFAULT clock_timestamp()
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
