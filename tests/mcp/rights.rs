//! A caller sees and calls the tools that its token allows, and no others.

use serde_json::json;
use tributary::config::new_token;

use crate::support::{Setup, TestApp};
use crate::{ADMIN, call, names, request, send};

#[actix_web::test]
async fn a_caller_has_the_tools_that_its_token_allows() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut entries = String::from("tokens:\n");
    let mut token = |name: &str, rest: &str| {
        let (token, digest) = new_token();
        entries.push_str(&format!("- {{ name: {name}, sha256: {digest}, {rest} }}\n"));
        token
    };
    let decides = token("decides", "flows: [purchasing]");
    let explains = token("explains", "flows: all, rights: [decide, explain]");
    let supposes = token("supposes", "flows: all, rights: [what_if]");
    let all = token("all", "flows: [purchasing], rights: [decide, explain, what_if, approve]");
    let elsewhere = token("elsewhere", "flows: [other], rights: [decide, explain, what_if]");
    let late = token("late", "flows: all, expires: 2020-01-01T00:00:00Z");
    std::fs::write(directory.path().join("tokens.yaml"), &entries).expect("written");
    let config = directory.path().join("service.yaml");
    std::fs::write(&config, "http: { tokens: tokens.yaml }\nmcp: { enabled: true }\n").expect("written");
    let (_databases, app) =
        TestApp::shipped_with(|setup| Setup { config: Some(config.clone()), ..setup }.set("ADMIN_TOKEN", ADMIN)).await;

    let tools = ["purchasing_decide", "purchasing_explain", "purchasing_what_if", "purchasing_flip"];
    let input = json!({ "product_id": "PROD-001" });
    for (token, allowed) in [
        (decides.as_str(), &tools[..1]),
        (&explains, &tools[..2]),
        (&supposes, &tools[2..]),
        (&all, &tools[..]),
        (&elsewhere, &[]),
        (ADMIN, &tools[2..]),
    ] {
        assert_eq!(names(&app, Some(token)).await, allowed);
        for tool in tools {
            let arguments = match tool {
                "purchasing_what_if" => json!({ "input": input, "set": { "oms_history.avg_daily_demand": 1 } }),
                "purchasing_flip" => json!({ "input": input, "facts": ["oms_history.avg_daily_demand"] }),
                _ => input.clone(),
            };
            let called = call(&app, Some(token), tool, arguments).await;
            assert_eq!(called["isError"], !allowed.contains(&tool), "{tool}: {called}");
            if !allowed.contains(&tool) {
                let code = called["structuredContent"]["code"].as_str().expect("a code").to_owned();
                assert!(["forbidden", "unauthorized"].contains(&code.as_str()), "{called}");
            }
        }
    }
    for token in [None, Some("wrong"), Some(late.as_str())] {
        for method in ["tools/list", "initialize"] {
            let answer = send(&app, token, &request(method, &json!({}))).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
}

#[actix_web::test]
async fn pages_of_an_allowed_origin_may_ask() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("service.yaml");
    let text = "http: { cors: { origins: [\"https://erp.example.com\"] } }\nmcp: { enabled: true }\n";
    std::fs::write(&config, text).expect("written");
    let (_databases, app) = TestApp::shipped_with(|setup| Setup { config: Some(config.clone()), ..setup }).await;
    for (origin, status) in
        [("https://erp.example.com", 200), ("https://erp.example.com.evil.example", 403), ("null", 403)]
    {
        let list = app.client.post(app.url("/mcp")).json(&request("tools/list", &json!({})));
        let list = list.header("Accept", "application/json, text/event-stream").header("Origin", origin);
        assert_eq!(TestApp::answer(list).await.status, status, "{origin}");
    }
}
