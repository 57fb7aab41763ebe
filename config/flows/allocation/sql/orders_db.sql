-- Orders that wait for their stock.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS orders (
    order_id   VARCHAR(20) PRIMARY KEY,
    product_id VARCHAR(20) NOT NULL,
    quantity   INTEGER     NOT NULL CHECK (quantity > 0),
    region     VARCHAR(20) NOT NULL,
    tier       VARCHAR(20) NOT NULL,
    partial_ok BOOLEAN     NOT NULL
);

INSERT INTO orders (order_id, product_id, quantity, region, tier, partial_ok) VALUES
    ('O-100', 'LAMP',  120, 'north', 'gold',     true),
    ('O-101', 'LAMP',  120, 'north', 'standard', true),
    ('O-102', 'LAMP',  500, 'north', 'silver',   false),
    ('O-103', 'CHAIR',  10, 'islands', 'gold',   true),
    ('O-104', 'CHAIR',  10, 'south', 'bronze',   true)
ON CONFLICT (order_id) DO NOTHING;
