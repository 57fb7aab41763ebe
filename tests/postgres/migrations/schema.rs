//! The migrated schema: families of tables, their changes, and the queries that read them.
//!
//! A query reads one family, so its possible answers follow from the versions of that family. Every value identifies its column
//! and row: `available` is 1000 more than the key, `reserved` 2000 more, and `note` contains the key. A change is a transaction, and
//! another one undoes it.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};

/// The keys of rows. Queries use some others, too.
const KEYS: i64 = 24;

/// Tables that change together, and parts of the queries that read them.
pub(super) struct Family {
    /// A change and the one that undoes it.
    pub(super) changes: &'static [(&'static str, &'static str)],
    shapes: &'static [&'static str],
    columns: &'static [&'static str],
    values: &'static [&'static str],
    /// Whether old and new sessions answer differently, so that answers of earlier versions stay right.
    pub(super) keeps: bool,
}

/// A query and its sets of parameters, as text. Its parameters have the same types in all versions that accept them: a statement that
/// was prepared earlier keeps the types, and can be executed where PREPARE now fails.
pub(super) struct Question {
    pub(super) family: usize,
    pub(super) text: String,
    pub(super) params: Vec<Vec<String>>,
}

/// Creates the tables.
pub(super) const SETUP: &str = "
    CREATE TABLE stock (id int PRIMARY KEY, available int NOT NULL, reserved int NOT NULL, note text NOT NULL);
    INSERT INTO stock SELECT n, 1000 + n, 2000 + n, 'note ' || n FROM generate_series(0, 23) AS n;
    CREATE TABLE item (id int PRIMARY KEY, price int NOT NULL, cost int NOT NULL);
    INSERT INTO item SELECT n, 3000 + n, 4000 + n FROM generate_series(0, 23) AS n;
    CREATE VIEW offer AS SELECT id, price, cost FROM item;
    CREATE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 100';
    CREATE TYPE mood AS ENUM ('up', 'flat', 'down');
    CREATE TABLE person (id int PRIMARY KEY, mood mood NOT NULL);
    INSERT INTO person SELECT n, (ARRAY['up', 'flat', 'down'])[1 + n % 3]::mood FROM generate_series(0, 23) AS n;
    CREATE TABLE event (id int NOT NULL, kind text NOT NULL, size int NOT NULL) PARTITION BY RANGE (id);
    CREATE TABLE event_low PARTITION OF event FOR VALUES FROM (0) TO (12);
    CREATE TABLE event_high PARTITION OF event FOR VALUES FROM (12) TO (24);
    INSERT INTO event SELECT n, 'kind ' || n, 5000 + n FROM generate_series(0, 23) AS n;
    CREATE TABLE event_other (size int NOT NULL, kind text NOT NULL, id int NOT NULL);
    INSERT INTO event_other SELECT 6000 + n, 'other ' || n, n FROM generate_series(12, 23) AS n;
    CREATE TABLE event_top (id int NOT NULL, kind text NOT NULL, size int NOT NULL);
    INSERT INTO event_top SELECT n, 'top ' || n, 7000 + n FROM generate_series(24, 40) AS n;
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'gone');
    CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'nobody');
    CREATE FOREIGN TABLE event_far (id int NOT NULL, kind text NOT NULL, size int NOT NULL) SERVER away;
    CREATE SCHEMA blue;
    CREATE TABLE blue.place (id int PRIMARY KEY, city text NOT NULL, street text NOT NULL);
    INSERT INTO blue.place SELECT n, 'city ' || n, 'street ' || n FROM generate_series(0, 23) AS n;
    CREATE SCHEMA green;
    CREATE TABLE green.place (id int PRIMARY KEY, street text NOT NULL, city text NOT NULL);
    INSERT INTO green.place SELECT n, 'green street ' || n, 'green city ' || n FROM generate_series(0, 23) AS n;
    CREATE SCHEMA west;
    CREATE TABLE west.spot (id int PRIMARY KEY, shelf int NOT NULL, slot int NOT NULL);
    INSERT INTO west.spot SELECT n, 100 + n, 200 + n FROM generate_series(0, 23) AS n;
    CREATE SCHEMA east;
    CREATE TABLE east.spot (id int PRIMARY KEY, slot int NOT NULL, shelf int NOT NULL);
    INSERT INTO east.spot SELECT n, 400 + n, 300 + n FROM generate_series(0, 23) AS n;
";

/// The database's setting of `search_path`, before the first change and after one.
pub(super) const PATHS: [&str; 2] = ["public, blue, west", "public, blue, east"];

pub(super) const FAMILIES: [Family; 7] = [
    Family {
        // A table.
        changes: &[
            ("ALTER TABLE stock RENAME reserved TO held", "ALTER TABLE stock RENAME held TO reserved"),
            ("ALTER TABLE stock RENAME reserved TO p1", "ALTER TABLE stock RENAME p1 TO reserved"),
            ("ALTER TABLE stock RENAME available TO tributary_p1", "ALTER TABLE stock RENAME tributary_p1 TO available"),
            (
                "ALTER TABLE stock RENAME available TO x; ALTER TABLE stock RENAME reserved TO available;
                 ALTER TABLE stock RENAME x TO reserved",
                "ALTER TABLE stock RENAME available TO x; ALTER TABLE stock RENAME reserved TO available;
                 ALTER TABLE stock RENAME x TO reserved",
            ),
            (
                "ALTER TABLE stock DROP COLUMN reserved, ADD COLUMN ord int NOT NULL DEFAULT 8000",
                "ALTER TABLE stock DROP COLUMN ord, ADD COLUMN reserved int; UPDATE stock SET reserved = 2000 + id;
                 ALTER TABLE stock ALTER reserved SET NOT NULL",
            ),
            (
                "CREATE TABLE stock_new (id int PRIMARY KEY, reserved int NOT NULL, available int NOT NULL, note text NOT NULL);
                 INSERT INTO stock_new SELECT id, reserved, available, note FROM stock;
                 ALTER TABLE stock RENAME TO stock_old; ALTER TABLE stock_new RENAME TO stock",
                "DROP TABLE stock; ALTER TABLE stock_old RENAME TO stock",
            ),
            (
                "CREATE TABLE stock_new (id int PRIMARY KEY, note text NOT NULL, available int NOT NULL, reserved int NOT NULL);
                 INSERT INTO stock_new SELECT id, note, available, reserved FROM stock; DROP TABLE stock;
                 ALTER TABLE stock_new RENAME TO stock",
                "CREATE TABLE stock_new (id int PRIMARY KEY, available int NOT NULL, reserved int NOT NULL, note text NOT NULL);
                 INSERT INTO stock_new SELECT id, available, reserved, note FROM stock; DROP TABLE stock;
                 ALTER TABLE stock_new RENAME TO stock",
            ),
            ("ALTER TABLE stock ALTER id TYPE text", "ALTER TABLE stock ALTER id TYPE int USING id::int"),
            ("ALTER TABLE stock ALTER available TYPE bigint", "ALTER TABLE stock ALTER available TYPE int"),
            ("ALTER TABLE stock ALTER id TYPE bigint", "ALTER TABLE stock ALTER id TYPE int"),
            (
                "ALTER TABLE stock ALTER reserved TYPE numeric(12, 2)",
                "ALTER TABLE stock ALTER reserved TYPE int",
            ),
            (
                "ALTER TABLE stock ALTER reserved TYPE text USING 'reserved ' || reserved",
                "ALTER TABLE stock ALTER reserved TYPE int USING substr(reserved, 10)::int",
            ),
            ("ALTER TABLE stock ADD COLUMN n int DEFAULT 9000", "ALTER TABLE stock DROP COLUMN n"),
        ],
        shapes: &[
            "SELECT * FROM stock WHERE id = $1",
            "SELECT * FROM stock WHERE id <= $1 ORDER BY id DESC LIMIT 3",
            "SELECT s.*, $2::text AS asked FROM stock AS s WHERE s.id = $1",
            "SELECT id, {a}, {b} FROM stock WHERE id = $1",
            "SELECT id, {a} AS first, {b} AS second FROM stock WHERE id = $1 AND $2 <> ''",
            "SELECT {b} AS found FROM stock WHERE id IN ($1::int, $1::int + 1) ORDER BY id",
            "SELECT count(*) AS number, min({a}) AS least FROM stock WHERE id <= $1",
            "SELECT a.id, b.{a}, a.{b} AS other FROM stock AS a JOIN stock AS b ON b.id = a.id WHERE a.id = $1",
            "WITH few AS (SELECT * FROM stock WHERE id = $1) SELECT * FROM few",
            "SELECT id, (SELECT {a} FROM stock WHERE id = $1) AS its FROM item WHERE id = $1",
            "SELECT p1 AS found FROM stock WHERE id = $1",
            "SELECT ord AS found, id FROM stock WHERE id = $1 ORDER BY ord",
        ],
        columns: &["available", "available", "reserved", "reserved", "note", "held", "p1", "p2", "ord", "n", "c1"],
        values: &["", "one", "two"],
        keeps: false,
    },
    Family {
        // A view.
        changes: &[
            (
                "DROP VIEW offer; CREATE VIEW offer AS SELECT id, cost, price FROM item",
                "DROP VIEW offer; CREATE VIEW offer AS SELECT id, price, cost FROM item",
            ),
            (
                "CREATE OR REPLACE VIEW offer AS SELECT id, cost AS price, price AS cost FROM item",
                "CREATE OR REPLACE VIEW offer AS SELECT id, price, cost FROM item",
            ),
            (
                "DROP VIEW offer; CREATE VIEW offer AS SELECT id, price + 0.5 AS price FROM item",
                "DROP VIEW offer; CREATE VIEW offer AS SELECT id, price, cost FROM item",
            ),
            (
                "DROP VIEW offer; CREATE TABLE offer AS SELECT id, 'cost ' || cost AS cost, price FROM item",
                "DROP TABLE offer; CREATE VIEW offer AS SELECT id, price, cost FROM item",
            ),
            ("ALTER VIEW offer RENAME price TO tributary_ord", "ALTER VIEW offer RENAME tributary_ord TO price"),
        ],
        shapes: &[
            "SELECT * FROM offer WHERE id = $1",
            "SELECT id, {a}, {b} AS other FROM offer WHERE id = $1",
            "SELECT o.* FROM offer AS o JOIN item AS i USING (id) WHERE i.id BETWEEN $1 AND $1 + 2 ORDER BY o.id",
        ],
        columns: &["price", "cost"],
        values: &[""],
        keeps: false,
    },
    Family {
        // A function.
        changes: &[
            (
                "CREATE OR REPLACE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 200'",
                "CREATE OR REPLACE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 100'",
            ),
            (
                "CREATE OR REPLACE FUNCTION rate(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN n + 300; END'",
                "CREATE OR REPLACE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 100'",
            ),
            (
                "DROP FUNCTION rate; CREATE FUNCTION rate(n int) RETURNS text LANGUAGE sql STABLE AS $$SELECT 'rate ' || n$$",
                "DROP FUNCTION rate; CREATE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 100'",
            ),
            (
                "DROP FUNCTION rate; CREATE FUNCTION rate(n bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT n + 400'",
                "DROP FUNCTION rate; CREATE FUNCTION rate(n int) RETURNS int LANGUAGE sql STABLE AS 'SELECT n + 100'",
            ),
        ],
        shapes: &[
            "SELECT id, rate(id) AS rated FROM item WHERE id = $1",
            "SELECT rate($1) AS rated",
            "SELECT id FROM item WHERE id = $1 AND length(rate(id)::text) < 4",
        ],
        columns: &["id"],
        values: &[""],
        keeps: false,
    },
    Family {
        // An enumeration.
        changes: &[
            (
                "ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('down', 'up');
                 ALTER TABLE person ALTER mood TYPE mood
                 USING (CASE mood::text WHEN 'flat' THEN 'down' ELSE mood::text END)::mood;
                 DROP TYPE mood_old",
                "ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('up', 'flat', 'down');
                 ALTER TABLE person ALTER mood TYPE mood USING (ARRAY['up', 'flat', 'down'])[1 + id % 3]::mood;
                 DROP TYPE mood_old",
            ),
            ("ALTER TYPE mood RENAME TO temper", "ALTER TYPE temper RENAME TO mood"),
            (
                "ALTER TABLE person ALTER mood TYPE text USING 'was ' || mood",
                "ALTER TABLE person ALTER mood TYPE mood USING substr(mood, 5)::mood",
            ),
        ],
        shapes: &[
            "SELECT id, mood FROM person WHERE id = $1",
            "SELECT * FROM person WHERE mood = $2 AND id = $1",
            "SELECT id, mood FROM person WHERE mood = $2 AND id < $1 ORDER BY id LIMIT 3",
        ],
        columns: &["mood"],
        values: &["up", "flat", "down"],
        keeps: false,
    },
    Family {
        // Partitions, one of them on a server that is down.
        changes: &[
            (
                "ALTER TABLE event ATTACH PARTITION event_top FOR VALUES FROM (24) TO (41)",
                "ALTER TABLE event DETACH PARTITION event_top",
            ),
            (
                "ALTER TABLE event ATTACH PARTITION event_far FOR VALUES FROM (24) TO (41)",
                "ALTER TABLE event DETACH PARTITION event_far",
            ),
            (
                "ALTER TABLE event DETACH PARTITION event_high;
                 ALTER TABLE event ATTACH PARTITION event_other FOR VALUES FROM (12) TO (24)",
                "ALTER TABLE event DETACH PARTITION event_other;
                 ALTER TABLE event ATTACH PARTITION event_high FOR VALUES FROM (12) TO (24)",
            ),
            ("ALTER TABLE event DETACH PARTITION event_low",
             "ALTER TABLE event ATTACH PARTITION event_low FOR VALUES FROM (0) TO (12)"),
        ],
        shapes: &[
            "SELECT * FROM event WHERE id = $1",
            "SELECT size, kind FROM event WHERE id = $1 AND $2 <> 'x'",
            "SELECT count(*) AS number, max(size) AS largest FROM event WHERE id = $1",
        ],
        columns: &["size"],
        values: &[""],
        keeps: false,
    },
    Family {
        // Schemas that change names.
        changes: &[(
            "ALTER SCHEMA blue RENAME TO x; ALTER SCHEMA green RENAME TO blue; ALTER SCHEMA x RENAME TO green",
            "ALTER SCHEMA blue RENAME TO x; ALTER SCHEMA green RENAME TO blue; ALTER SCHEMA x RENAME TO green",
        )],
        shapes: &[
            "SELECT * FROM place WHERE id = $1",
            "SELECT id, {a}, {b} AS other FROM place WHERE id = $1",
            "SELECT * FROM blue.place WHERE id = $1",
        ],
        columns: &["city", "street"],
        values: &[""],
        keeps: false,
    },
    Family {
        // The search path.
        // The name of the database is put in.
        changes: &[(
            "ALTER DATABASE {database} SET search_path = public, blue, east",
            "ALTER DATABASE {database} SET search_path = public, blue, west",
        )],
        shapes: &[
            "SELECT * FROM spot WHERE id = $1",
            "SELECT id, {a}, {b} AS other FROM spot WHERE id = $1",
        ],
        columns: &["shelf", "slot"],
        values: &[""],
        keeps: true,
    },
];

/// A few queries of each family.
pub(super) fn questions(random: &mut StdRng) -> Vec<Question> {
    let mut questions = Vec::new();
    for (family, Family { shapes, columns, values, .. }) in FAMILIES.iter().enumerate() {
        for shape in shapes.choose_multiple(random, 4) {
            let first = *columns.choose(random).expect("a column");
            // A query with two columns of one name is refused.
            let other = *columns.iter().filter(|column| **column != first).choose(random).unwrap_or(&first);
            let text = shape.replace("{a}", first).replace("{b}", other);
            let second = text.contains("$2");
            let params = (0..KEYS).map(|_| {
                let mut params = vec![random.random_range(0..KEYS + 6).to_string()];
                params.extend(second.then(|| (*values.choose(random).expect("a value")).to_owned()));
                params
            });
            questions.push(Question { family, params: params.collect(), text });
        }
    }
    questions
}
