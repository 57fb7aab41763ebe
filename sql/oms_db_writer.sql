-- What the role that writes purchase orders may do: tributary_writer, or the role that OMS_DB_WRITE_USER names.

GRANT SELECT, INSERT ON purchase_orders TO tributary_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON tributary_keys, tributary_outbox TO tributary_writer;
