//! `POST {path}/what-if`: the same decision with facts replaced, for callers with the admin token.

use serde_json::json;

use crate::support::TestApp;

const TOKEN: &str = "a-token-for-tests";

async fn ask(app: &TestApp, token: Option<&str>, body: &serde_json::Value) -> crate::support::Answer {
    let request = app.client.post(app.url("/purchasing/flow/what-if")).json(body);
    TestApp::answer(token.into_iter().fold(request, |request, token| request.bearer_auth(token))).await
}

#[actix_web::test]
async fn facts_are_replaced_for_callers_with_the_admin_token() {
    let (_databases, app) = TestApp::shipped_with(|setup| setup.set("ADMIN_TOKEN", TOKEN)).await;
    let input = json!({ "product_id": "PROD-001" });
    let set = |set: serde_json::Value| json!({ "input": input, "set": set });
    let enough = set(json!({ "inventory_levels.available_qty": 2000 }));
    assert_eq!(ask(&app, None, &enough).await.status, 401);
    assert_eq!(ask(&app, Some("guess"), &enough).await.status, 401);
    let answer = ask(&app, Some(TOKEN), &enough).await.json();
    assert_eq!((answer["status"].as_str(), answer["reason"].as_str()), (Some("no_order"), Some("sufficient_stock")));
    assert_eq!(answer["what_if"], json!(["inventory_levels.available_qty"]));

    // A whole row, an input, and a fact of a rule node.
    let gone = set(json!({ "supplier_info": {
        "product_id": "PROD-001", "supplier_name": "Other", "unit_price": 1, "moq": 1, "lead_time": 7, "is_active": true } }));
    assert_eq!(ask(&app, Some(TOKEN), &gone).await.json()["purchase_order"]["total_cost"].to_string(), "550.00");
    let other = set(json!({ "input.product_id": "PROD-002" }));
    assert_eq!(ask(&app, Some(TOKEN), &other).await.json()["purchase_order"]["product_id"], "PROD-002");
    let more = set(json!({ "rule_engine.order_qty": 1000 }));
    assert_eq!(ask(&app, Some(TOKEN), &more).await.json()["purchase_order"]["total_cost"].to_string(), "15500.00");
    let null = set(json!({ "inventory_levels.available_qty": null }));
    assert_eq!(ask(&app, Some(TOKEN), &null).await.code(), "rule_error");

    for (body, status, code, told) in [
        (
            set(json!({ "inventory_level.available_qty": 1 })),
            422,
            "invalid_override",
            "did you mean `inventory_levels`",
        ),
        (set(json!({ "inventory_levels.available": 1 })), 422, "invalid_override", "available_qty"),
        (set(json!({ "inventory_levels.available_qty": "many" })), 422, "invalid_override", "decimal"),
        (set(json!({ "supplier_info": 3 })), 422, "invalid_override", "a row"),
        (set(json!({ "rule_engine": 3 })), 422, "invalid_override", "the node's facts"),
        (set(json!({ "rule_engine": { "order": 1 } })), 422, "invalid_override", "no fact `order`"),
        (set(json!({ "rule_engine": { "need_reorder": "yes" } })), 422, "invalid_override", "is of type boolean"),
        (set(json!({})), 400, "malformed_body", "`set` names at least one fact"),
        (json!({ "input": input }), 400, "malformed_body", "set"),
        (json!({ "inputs": input, "set": { "a.b": 1 } }), 400, "malformed_body", "`inputs`"),
        (json!({ "input": {}, "set": { "input.product_id": "x" } }), 422, "invalid_input", "product_id"),
    ] {
        let answer = ask(&app, Some(TOKEN), &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {}", answer.text);
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{}", answer.text);
    }
    let nowhere = app.post("/nowhere/what-if", "{}").await;
    assert_eq!(nowhere.status, 404);
}

#[actix_web::test]
async fn without_an_admin_token_facts_cannot_be_replaced() {
    let (_databases, app) = TestApp::shipped().await;
    let answer = ask(&app, Some(TOKEN), &json!({ "input": {}, "set": { "a.b": 1 } })).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "admin_off"));
}
