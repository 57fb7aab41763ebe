//! Approvals: an effect that waits is written once, as it was approved, or dropped.

use serde_json::{Value as Json, json};

use crate::fixture::{ADMIN, Purchasing};
use crate::support::{Answer, TestApp};

impl Purchasing {
    async fn approvals(&self, path: &str) -> Answer {
        let request = self.app.client.get(self.app.url(&format!("/approvals{path}"))).bearer_auth(ADMIN);
        TestApp::answer(request).await
    }

    /// A gauge of the flow.
    async fn gauge(&self, name: &str) -> Option<f64> {
        let text = self.app.get("/metrics").await.text;
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{flow=\"purchasing\"}} ")));
        value?.parse().ok()
    }

    async fn resolve(&self, id: &str, body: &Json) -> Answer {
        let request = self.app.client.post(self.app.url(&format!("/approvals/{id}"))).bearer_auth(ADMIN);
        TestApp::answer(request.json(body)).await
    }

    /// The id of the approval that an order of this product waits for.
    async fn waiting(&self, product: &str, key: &str) -> String {
        let answer = self.order(product, key).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let json = answer.json();
        assert_eq!(json["approval"]["state"], "pending");
        assert_eq!(json["purchase_order"].get("po_number"), None, "{}", answer.text);
        json["approval"]["id"].as_str().expect("an id").to_owned()
    }
}

#[actix_web::test]
async fn an_approved_order_is_written_once_and_the_key_keeps_its_first_answer() {
    let flow = Purchasing::start().await;
    let id = flow.waiting("PROD-002", "k").await;
    let first = flow.order("PROD-002", "k").await;
    assert_eq!(first.status, 202);
    let listed = flow.approvals("").await.json();
    assert_eq!(listed["approvals"][0]["id"], id.as_str(), "{listed}");
    assert_eq!(flow.gauge("tributary_approvals_waiting").await, Some(1.0));
    assert!(flow.gauge("tributary_approvals_oldest_seconds").await.is_some_and(|seconds| seconds > 0.0));
    let shown = flow.approvals(&format!("/{id}")).await.json();
    assert_eq!((&shown["state"], &shown["now"]["changes"]), (&json!("pending"), &json!([])), "{shown}");
    assert_eq!(flow.orders().await, 0);

    let both = futures_util::future::join_all((0..4).map(|_| flow.resolve_approve(&id))).await;
    let approved: Vec<_> = both.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(approved.len(), 1, "{both:?}");
    let answer = approved[0].json();
    assert_eq!((&answer["state"], &answer["resolution"]["by"]), (&json!("approved"), &json!("admin")));
    assert!(answer["resolution"]["decision"]["purchase_order"]["po_number"].is_string(), "{answer}");
    assert!(both.iter().filter(|answer| answer.status != 200).all(|answer| answer.code() == "already_resolved"));
    assert_eq!(flow.orders().await, 1);
    assert_eq!(flow.order("PROD-002", "k").await.text, first.text);
    assert_eq!(flow.approvals("").await.json()["approvals"], json!([]));
    assert_eq!(flow.gauge("tributary_approvals_waiting").await, Some(0.0));
    assert_eq!(flow.gauge("tributary_approvals_oldest_seconds").await, Some(0.0));
}

impl Purchasing {
    async fn resolve_approve(&self, id: &str) -> Answer {
        self.resolve(id, &json!({ "action": "approve", "note": "within the budget" })).await
    }
}

#[actix_web::test]
async fn a_rejected_order_is_never_written() {
    let flow = Purchasing::start().await;
    let id = flow.waiting("PROD-002", "k").await;
    assert_eq!(flow.resolve(&id, &json!({ "action": "reject" })).await.json()["state"], "rejected");
    let late = flow.resolve_approve(&id).await;
    assert_eq!((late.status, late.code().as_str()), (409, "already_resolved"));
    assert_eq!(flow.orders().await, 0);
}

#[actix_web::test]
async fn what_has_changed_since_is_shown_and_approved_by_its_version() {
    let flow = Purchasing::start().await;
    let id = flow.waiting("PROD-002", "k").await;
    flow.run("inventory_db", "UPDATE inventory SET available_qty = 200 WHERE product_id = 'PROD-002'").await;
    let changed = flow.resolve_approve(&id).await;
    assert_eq!((changed.status, changed.code().as_str()), (409, "approval_changed"), "{}", changed.text);
    let shown = flow.approvals(&format!("/{id}")).await.json();
    let changes = shown["now"]["changes"].as_array().expect("changes");
    let quantity = changes.iter().find(|change| change["field"] == "answer.purchase_order.order_qty");
    assert_eq!(quantity, Some(&json!({ "field": "answer.purchase_order.order_qty", "before": 827, "after": 927 })));
    let version = shown["now"]["version"].as_str().expect("a version");
    assert_ne!(shown["version"], version);
    assert_eq!(flow.orders().await, 0);
    let approved = flow.resolve(&id, &json!({ "action": "approve", "version": version })).await;
    assert_eq!(approved.json()["state"], "approved", "{}", approved.text);
    assert_eq!(approved.json()["resolution"]["decision"]["purchase_order"]["order_qty"], 927);
    assert_eq!(flow.orders().await, 1);
}

#[actix_web::test]
async fn an_order_that_is_needed_no_more_is_dropped() {
    let flow = Purchasing::start().await;
    let id = flow.waiting("PROD-002", "k").await;
    flow.run("inventory_db", "UPDATE inventory SET available_qty = 90000").await;
    let shown = flow.approvals(&format!("/{id}")).await.json();
    assert_eq!(shown["now"].get("version"), None, "{shown}");
    let dropped = flow.resolve_approve(&id).await.json();
    assert_eq!(dropped["state"], "dropped", "{dropped}");
    assert_eq!(dropped["resolution"]["decision"]["status"], "no_order");
    assert_eq!(flow.orders().await, 0);
}

#[actix_web::test]
async fn approvals_are_closed_to_those_without_the_right() {
    let flow = Purchasing::start().await;
    let id = flow.waiting("PROD-002", "k").await;
    assert_eq!(flow.app.get("/approvals").await.status, 401);
    assert_eq!(flow.app.get(&format!("/approvals/{id}")).await.status, 401);
    assert_eq!(
        flow.app.post(&format!("/approvals/{id}"), json!({ "action": "approve" }).to_string()).await.status,
        401
    );
    let unknown = flow.approvals("/00000000-0000-0000-0000-000000000000").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "no_such_approval"));
    assert_eq!(flow.approvals("/nonsense").await.code(), "no_such_approval");
    let unclear = flow.resolve(&id, &json!({ "action": "perhaps" })).await;
    assert_eq!((unclear.status, unclear.code().as_str()), (400, "malformed_body"), "{}", unclear.text);
    assert_eq!(flow.orders().await, 0);
}
