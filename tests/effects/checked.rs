//! `check --db` and `doctor` of effects: every error names its place and its remedy.

use crate::support::{SampleDatabases, repository, run, write_environment};

struct Checked {
    databases: SampleDatabases,
    role: String,
}

impl Checked {
    async fn new() -> Self {
        Self { databases: SampleDatabases::create().await, role: String::new() }
    }

    /// The status and the output of `check --db`.
    fn check(&self) -> (i32, String) {
        self.run(&["check", "--db"])
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut environment = self.databases.environment();
        environment.extend(write_environment());
        if !self.role.is_empty() {
            environment.push(("OMS_DB_WRITE_USER".to_owned(), self.role.clone()));
        }
        let (code, out, err) = run(repository(), &environment, arguments);
        (code, format!("{out}{err}"))
    }

    async fn after(&self, statements: &str) -> (i32, String) {
        self.databases.database("oms_db").run(statements).await;
        self.check()
    }
}

#[actix_web::test]
async fn the_shipped_effect_passes() {
    let (code, output) = Checked::new().await.check();
    assert_eq!((code, output.contains("ok: 1 flow")), (0, true), "{output}");
}

#[actix_web::test]
async fn the_doctor_examines_the_write_role() {
    let mut checked = Checked::new().await;
    let doctor = |checked: &Checked, code: i32, parts: &[&str]| {
        let (status, output) = checked.run(&["doctor"]);
        assert_eq!(status, code, "{output}");
        for part in parts {
            assert!(output.contains(part), "no `{part}` in\n{output}");
        }
    };
    doctor(&checked, 0, &["as tributary_writer to ", "tributary_writer may run the 8 statements of effects"]);
    checked.databases.database("oms_db").run("REVOKE INSERT ON tributary_outbox FROM tributary_writer").await;
    doctor(&checked, 1, &["FAIL  effects", "tributary_outbox (SQLSTATE 42501)", "`tributary check --db`"]);
    checked.role = "nobody_of_that_name".to_owned();
    doctor(&checked, 1, &["FAIL  log in", "nobody_of_that_name", "OMS_DB_WRITE_USER"]);
    checked.role = "postgres".to_owned();
    doctor(&checked, 0, &["warn  role      postgres is a superuser", "`tributary schema effects` has the grants"]);
}

#[actix_web::test]
async fn what_is_missing_is_named_with_its_remedy() {
    for (statements, expected) in [
        ("DROP TABLE tributary_outbox", ["missing-table", "tributary_outbox", "tributary schema effects"]),
        ("ALTER TABLE tributary_keys DROP COLUMN answer", ["missing-column", "answer", "tributary schema effects"]),
        ("ALTER TABLE purchase_orders RENAME TO orders", ["missing-table", "purchase_orders", "graph.yaml"]),
        ("ALTER TABLE purchase_orders DROP COLUMN order_unit", ["missing-column", "order_unit", "graph.yaml"]),
        (
            "REVOKE INSERT ON purchase_orders FROM tributary_writer",
            ["missing-permission", "purchase_orders", "OMS_DB_WRITE_USER"],
        ),
        (
            "ALTER TABLE purchase_orders ALTER order_unit TYPE date USING NULL",
            ["parameter-type", "uom_conversion.from_uom", "::text::date`"],
        ),
    ] {
        let (code, output) = Checked::new().await.after(statements).await;
        assert_eq!(code, 1, "{statements}: {output}");
        for part in expected {
            assert!(output.contains(part), "{statements}: no `{part}` in\n{output}");
        }
    }
}

#[actix_web::test]
async fn a_superuser_is_warned_of_and_an_unknown_role_refused() {
    let mut checked = Checked::new().await;
    checked.role = "postgres".to_owned();
    let (code, output) = checked.check();
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("superuser-writes") && output.contains("OMS_DB_WRITE_USER"), "{output}");
    checked.role = "nobody_of_that_name".to_owned();
    let (code, output) = checked.check();
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("the write role of domain `oms_db` cannot log in"), "{output}");
}
