//! A service whose flow writes, its database, and requests with keys.

use serde_json::{Value as Json, json};

use crate::support::{Answer, SampleDatabases, Setup, TestApp, connect};

/// The admin token.
pub const ADMIN: &str = "planted-admin-token";

/// The shipped flow with a write role.
pub struct Purchasing {
    pub databases: SampleDatabases,
    pub app: TestApp,
}

impl Purchasing {
    pub async fn start() -> Self {
        Self::start_with(|setup| setup).await
    }

    pub async fn start_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let (databases, app) = TestApp::shipped_with(|setup| change(setup.writing().set("ADMIN_TOKEN", ADMIN))).await;
        Self { databases, app }
    }

    /// Asks about a product, with a key.
    pub async fn order(&self, product: &str, key: &str) -> Answer {
        ask(&self.app, "/purchasing/flow", &json!({ "product_id": product }), key).await
    }

    /// The number of orders.
    pub async fn orders(&self) -> i64 {
        count(&self.databases.url("oms_db"), "purchase_orders").await
    }

    /// Runs statements on a domain's database.
    pub async fn run(&self, domain: &str, statements: &str) {
        self.databases.database(domain).run(statements).await;
    }
}

/// Sends `body` with a key.
pub async fn ask(app: &TestApp, path: &str, body: &Json, key: &str) -> Answer {
    let request = app.client.post(app.url(path)).json(body).header("Idempotency-Key", key);
    TestApp::answer(request).await
}

/// The number of rows of a table.
pub async fn count(url: &str, table: &str) -> i64 {
    let client = connect(url).await;
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a count").get(0)
}

/// The answer to the only query that `text` is, as text.
pub async fn text(url: &str, text: &str) -> String {
    let client = connect(url).await;
    client.query_one(text, &[]).await.expect("a row").get(0)
}
