-- Suppliers: who delivers each product, at what price, in what least quantity (moq), in how many days (lead_time).
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS suppliers (
    product_id    VARCHAR(50)    PRIMARY KEY,
    supplier_name VARCHAR(200)   NOT NULL,
    unit_price    NUMERIC(12, 2) NOT NULL CHECK (unit_price >= 0),
    moq           NUMERIC(12, 2) NOT NULL CHECK (moq >= 0),
    lead_time     INTEGER        NOT NULL CHECK (lead_time >= 0)
);

INSERT INTO suppliers (product_id, supplier_name, unit_price, moq, lead_time) VALUES
    ('PROD-001', 'ABC Supplies Co.',  15.50, 100.00,  7),
    ('PROD-002', 'XYZ Manufacturing', 25.00,  50.00, 14),
    ('PROD-003', 'Global Parts Ltd.', 42.75, 200.00, 21)
ON CONFLICT (product_id) DO NOTHING;
