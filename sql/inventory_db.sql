-- Inventory: what is in stock, what of it is promised, and where it lies.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS inventory (
    product_id         VARCHAR(50)    PRIMARY KEY,
    available_qty      NUMERIC(12, 2) NOT NULL CHECK (available_qty >= 0),
    reserved_qty       NUMERIC(12, 2) NOT NULL CHECK (reserved_qty >= 0),
    warehouse_location VARCHAR(50)    NOT NULL
);

INSERT INTO inventory (product_id, available_qty, reserved_qty, warehouse_location) VALUES
    ('PROD-001', 500.00, 100.00, 'WH-A-01'),
    ('PROD-002', 300.00,  50.00, 'WH-B-02'),
    ('PROD-003', 150.00,   0.00, 'WH-C-03')
ON CONFLICT (product_id) DO NOTHING;
