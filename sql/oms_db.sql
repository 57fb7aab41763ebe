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
