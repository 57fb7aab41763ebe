//! Answers to requests with a key.

use serde_json::{Value as Json, json};
use tributary::types::IdempotencyKey;

use crate::answers::{Promised, TOKEN};
use crate::support::{Answer, TestApp};

const FLOW: &str = "/purchasing/flow";

async fn keyed(promised: &mut Promised, key: &str, product: &str) -> Answer {
    let request = promised.app.client.post(promised.app.url(&format!("{FLOW}?explain=true")));
    let answer = TestApp::answer(request.header("Idempotency-Key", key).json(&json!({ "product_id": product }))).await;
    promised.hold(("post", FLOW), &answer);
    answer
}

#[actix_web::test]
async fn every_answer_to_a_key_is_as_the_document_says() {
    let mut promised = Promised::start().await;
    let operation = promised.document.0["paths"][FLOW]["post"].clone();
    let promises = |status: u16, header: &str| operation["responses"][status.to_string()]["headers"][header].clone();
    for (key, product, status) in [("a", "PROD-001", 200), ("b", "PROD-002", 202), ("c", "NOPE", 404)] {
        let first = keyed(&mut promised, key, product).await;
        let again = keyed(&mut promised, key, product).await;
        assert_eq!((first.status, again.status, &again.text), (status, status, &first.text));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert!(!first.headers.contains_key("idempotency-replayed"));
        assert_eq!(promises(status, "Idempotency-Replayed")["schema"]["const"], "true");
        for header in ["Decision-Id", "Graph-Version", "Rules-Version"] {
            assert!(
                promises(status, header)["required"] == (header == "Decision-Id") && first.headers.contains_key(header)
            );
        }
        assert_eq!(again.headers["decision-id"], first.headers["decision-id"]);
    }
    assert_eq!(keyed(&mut promised, "a", "PROD-003").await.code(), "key_reused");
    assert_eq!(keyed(&mut promised, &"k".repeat(256), "PROD-001").await.code(), "bad_key");
    let lines = json!([
        { "product_id": "PROD-001", "Idempotency-Key": "a" }, { "product_id": "PROD-001", "Idempotency-Key": "d" },
        { "product_id": "PROD-002", "Idempotency-Key": "e" }, { "product_id": "NOPE", "Idempotency-Key": "c" },
        { "product_id": "PROD-001", "Idempotency-Key": "" }, { "product_id": "PROD-001" }
    ]);
    let body = &promised.document.0["paths"][&format!("{FLOW}/batch")]["post"]["requestBody"];
    assert!(body.to_string().contains("#/components/schemas/purchasing.element"), "{body}");
    let answer = promised.app.post(&format!("{FLOW}/batch"), lines.to_string()).await;
    for line in answer.text.lines() {
        let line: Json = serde_json::from_str(line).expect("JSON");
        let misfits = promised.document.misfits("/components/schemas/purchasing.line", &line);
        assert!(misfits.is_empty(), "{misfits:#?}\n{line}");
    }
    let whole = promised.app.client.post(promised.app.url(&format!("{FLOW}/batch"))).header("Idempotency-Key", "f");
    let whole = TestApp::answer(whole.json(&lines)).await;
    promised.hold(("post", &format!("{FLOW}/batch")), &whole);
    assert!(whole.code() == "bad_key" && whole.text.contains("give each line to write the member"), "{}", whole.text);
}

#[actix_web::test]
async fn every_answer_about_approvals_is_as_the_document_says() {
    let mut promised = Promised::start().await;
    let id = keyed(&mut promised, "a", "PROD-002").await.json()["approval"]["id"].as_str().expect("an id").to_owned();
    let (one, none) = (format!("/approvals/{id}"), "/approvals/67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned());
    let approve = json!({ "action": "approve", "note": "as agreed" });
    for (path, asked, body, status) in [
        ("/approvals", "/approvals", None, 200),
        ("/approvals/{id}", &one, None, 200),
        ("/approvals/{id}", &none, None, 404),
        ("/approvals/{id}", &one, Some(json!({ "action": "wait" })), 400),
        ("/approvals/{id}", &one, Some(approve.clone()), 200),
        ("/approvals/{id}", &one, Some(json!({ "action": "reject" })), 409),
        ("/approvals/{id}", &one, None, 200),
    ] {
        let (client, url) = (&promised.app.client, promised.app.url(asked));
        let (method, request) = match &body {
            Some(body) => ("post", client.post(url).json(body)),
            None => ("get", client.get(url)),
        };
        let answer = TestApp::answer(request.bearer_auth(TOKEN)).await;
        promised.hold((method, path), &answer);
        assert_eq!(answer.status, status, "{method} {asked} {}", answer.text);
    }
}

#[actix_web::test]
async fn the_document_takes_the_keys_that_the_service_takes() {
    let promised = Promised::start().await;
    let parameters = promised.document.0["paths"][FLOW]["post"]["parameters"].as_array().expect("parameters").clone();
    let index = parameters.iter().position(|parameter| parameter["name"] == "Idempotency-Key").expect("the header");
    let schema = format!("/paths/~1purchasing~1flow/post/parameters/{index}/schema");
    let (long, longer) = ("k".repeat(255), "k".repeat(256));
    let keys = ["", "\"", "\"\"", "\"a\"", "\"a", "a\"", "a", "a b", "\" \"", "~!", "ä", "a\tb", &long, &longer];
    for key in keys.map(str::to_owned).into_iter().chain([format!("\"{long}\""), format!("\"{longer}\"")]) {
        let fits = promised.document.misfits(&schema, &json!(key)).is_empty();
        assert_eq!(fits, IdempotencyKey::parse(&key).is_ok(), "{key}");
    }
}

#[actix_web::test]
async fn a_flow_without_effects_has_no_key_in_the_document() {
    let promised = Promised::start().await;
    let decide = &promised.document.0["paths"]["/orders/check"]["post"];
    assert!(!decide.to_string().contains("Idempotency"), "{decide}");
    let schemas = promised.document.0["components"]["schemas"].as_object().expect("schemas");
    assert!(!schemas.contains_key("orders.element") && !schemas.contains_key("orders.pending"));
    let order = &schemas["purchasing.outcome.success"]["properties"]["purchase_order"];
    assert!(order["properties"]["po_number"].is_object() && !order["required"].to_string().contains("po_number"));
}
