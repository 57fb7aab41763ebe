-- The fifth domain: orders with every type of column, null among them.
CREATE TABLE order_lines (
    customer text NOT NULL, article text NOT NULL, quantity integer NOT NULL, price numeric(12, 2) NOT NULL,
    ordered_on date, packed_at timestamptz, notes text, extra jsonb, parcel uuid
);
CREATE INDEX ON order_lines (customer);
CREATE TABLE customers (customer text PRIMARY KEY, name text NOT NULL, discount numeric, blocked boolean, account uuid);
CREATE TABLE ratings (customer text PRIMARY KEY, score integer);
INSERT INTO order_lines VALUES
    ('DE-17', 'bolt', 3, 4.50, '2026-01-31', '2026-01-31 08:00:00+00', NULL, '{"colour": ["red", 1]}', '67e55044-10b1-426f-9247-bb680e5fe0c8'),
    ('DE-17', 'nut', 2, 0.10, NULL, NULL, 'for the bolts', NULL, NULL);
INSERT INTO customers VALUES ('DE-17', 'Nuts & Co', 0.05, false, '0b6f1d2e-58a4-4c3e-9a53-0a1d7b8c9e10'), ('DE-18', 'Gone Ltd', NULL, true, NULL);
