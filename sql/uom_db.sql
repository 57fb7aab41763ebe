-- Units of measurement: one from_uom of the product is conversion_factor to_uom.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS uom_conversions (
    product_id        VARCHAR(50)    PRIMARY KEY,
    from_uom          VARCHAR(20)    NOT NULL,
    to_uom            VARCHAR(20)    NOT NULL,
    conversion_factor NUMERIC(12, 4) NOT NULL CHECK (conversion_factor > 0)
);

INSERT INTO uom_conversions (product_id, from_uom, to_uom, conversion_factor) VALUES
    ('PROD-001', 'pieces', 'box',    12.0000),
    ('PROD-002', 'kg',     'lb',      2.2046),
    ('PROD-003', 'liter',  'gallon',  0.2642)
ON CONFLICT (product_id) DO NOTHING;
