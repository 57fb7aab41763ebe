-- Which warehouses deliver to which regions, in how many days, at what cost a piece.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS routes (
    warehouse  VARCHAR(20)    NOT NULL,
    region     VARCHAR(20)    NOT NULL,
    days       INTEGER        NOT NULL CHECK (days >= 0),
    piece_cost NUMERIC(12, 2) NOT NULL CHECK (piece_cost >= 0),
    PRIMARY KEY (region, warehouse)
);

INSERT INTO routes (warehouse, region, days, piece_cost) VALUES
    ('Aston',  'north', 1, 0.80),
    ('Burton', 'north', 3, 0.55),
    ('Corby',  'north', 6, 0.40),
    ('Burton', 'south', 1, 0.75),
    ('Dover',  'south', 2, 0.60)
ON CONFLICT (region, warehouse) DO NOTHING;
