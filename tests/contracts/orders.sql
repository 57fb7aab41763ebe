-- The fifth domain: orders with every type of column, null among them.
CREATE TABLE order_lines (
    customer text NOT NULL, article text NOT NULL, quantity integer NOT NULL, price numeric(12, 2) NOT NULL,
    ordered_on date, packed_at timestamptz, notes text, extra jsonb
);
CREATE INDEX ON order_lines (customer);
CREATE TABLE customers (customer text PRIMARY KEY, name text NOT NULL, discount numeric, blocked boolean);
CREATE TABLE ratings (customer text PRIMARY KEY, score integer);
INSERT INTO order_lines VALUES
    ('DE-17', 'bolt', 3, 4.50, '2026-01-31', '2026-01-31 08:00:00+00', NULL, '{"colour": ["red", 1]}'),
    ('DE-17', 'nut', 2, 0.10, NULL, NULL, 'for the bolts', NULL);
INSERT INTO customers VALUES ('DE-17', 'Nuts & Co', 0.05, false), ('DE-18', 'Gone Ltd', NULL, true);
