-- What the role that reserves stock may do: tributary_writer, or the role that STOCK_DB_WRITE_USER names.

GRANT SELECT, UPDATE ON stock TO tributary_writer;
GRANT SELECT, INSERT ON reservations TO tributary_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON tributary_keys, tributary_outbox TO tributary_writer;
