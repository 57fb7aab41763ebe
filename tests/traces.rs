//! Traces as a collector gets them: the service as its users start it, and a collector that speaks OTLP over HTTP.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value as Json;
use support::{Process, SampleDatabases, eventually, eventually_async, repository, write_environment};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tributary::config::TlsFiles;
use tributary::http::Certificate;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

/// What a collector got: requests with their key, resources, and spans.
#[derive(Default)]
struct Got {
    keys: Vec<String>,
    resources: Vec<KeyValue>,
    spans: Vec<Span>,
}

/// A collector at a free port.
struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Got>>,
    server: actix_web::dev::ServerHandle,
}

impl Collector {
    fn start() -> Self {
        let got = Arc::new(Mutex::new(Got::default()));
        let shared = web::Data::from(Arc::clone(&got));
        let server = HttpServer::new(move || {
            let config = web::PayloadConfig::new(64 << 20);
            App::new().app_data(config).app_data(shared.clone()).route("/v1/traces", web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a free port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, got, server: handle }
    }

    /// Puts TLS before it.
    async fn behind(mut self, tls: TlsAcceptor) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let plain = std::mem::replace(&mut self.address, listener.local_addr().expect("its address"));
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                actix_web::rt::spawn(async move {
                    // Who does not trust the certificate leaves.
                    let Ok(mut stream) = tls.accept(stream).await else { return };
                    let mut plain = TcpStream::connect(plain).await.expect("the collector");
                    drop(copy_bidirectional(&mut stream, &mut plain).await);
                });
            }
        });
        self
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn read<T>(&self, read: impl FnOnce(&Got) -> T) -> T {
        read(&self.got.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn spans(&self) -> Vec<Span> {
        self.read(|got| got.spans.clone())
    }

    /// Waits until the span of a request is there, which ends after all that are within it.
    async fn has_the_request_of(&self, trace: &str) {
        eventually_async("the request's span arrives", async || {
            of_trace(&self.spans(), trace).iter().any(|span| span.kind == SERVER)
        })
        .await;
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn take(request: HttpRequest, body: web::Bytes, got: web::Data<Mutex<Got>>) -> HttpResponse {
    let Ok(sent) = ExportTraceServiceRequest::decode(body) else { return HttpResponse::BadRequest().finish() };
    let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
    let key = request.headers().get("api-key").map(|key| key.to_str().expect("text").to_owned());
    got.keys.extend(key);
    for spans in sent.resource_spans {
        got.resources.extend(spans.resource.into_iter().flat_map(|resource| resource.attributes));
        got.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}

/// `tributary serve` as a process of its own, and what it logs.
struct Serving {
    child: Process,
    address: String,
    client: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    fn start(databases: &SampleDatabases, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name.ends_with("_proxy")) {
            command.env_remove(name);
        }
        command.current_dir(repository()).args(["serve", "--bind", "127.0.0.1:0"]).envs(databases.environment());
        command.env("TRIBUTARY_LOG_FORMAT", "json").envs(variables.iter().copied());
        let mut child = Process(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program"));
        let (log, stderr) = (Arc::new(Mutex::new(Vec::new())), child.stderr.take().expect("its log"));
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client");
        let mut serving = Self { child, address: String::new(), client, log, reader: Some(reader) };
        let address = || {
            let lines = serving.lines();
            lines.iter().find(|line| line["message"] == "serving").map(|line| line["address"].clone())
        };
        eventually("it serves", || address().is_some());
        serving.address = address().and_then(|address| address.as_str().map(str::to_owned)).expect("an address");
        serving
    }

    fn text(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    fn lines(&self) -> Vec<Json> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn post(&self, path: &str, body: String) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("http://{}{path}", self.address));
        request.header("Content-Type", "application/json").body(body)
    }

    fn purchasing(&self, product: &str) -> reqwest::RequestBuilder {
        self.post("/purchasing/flow", serde_json::json!({ "product_id": product }).to_string())
    }

    /// The status of one decision within a trace of its client's.
    async fn within(&self, product: &str, trace: &str, flags: &str) -> (u16, Json) {
        let request = self.purchasing(product).header("traceparent", format!("00-{trace}-{PARENT}-{flags}"));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn ready(&self) {
        eventually_async("it is ready", async || {
            let answer = self.client.get(format!("http://{}/readyz", self.address)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    /// Stops it as Kubernetes would, and waits for its end; what it took.
    fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.child.signal(Signal::SIGTERM);
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{}", self.text());
        self.reader.take().expect("once").join().expect("its log ends");
        begun.elapsed()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        Any::DoubleValue(number) => number.to_string(),
        Any::BoolValue(truth) => truth.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The spans of a trace.
fn of_trace(spans: &[Span], trace: &str) -> Vec<Span> {
    spans.iter().filter(|span| hexadecimal(&span.trace_id) == trace).cloned().collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} among {names:?}"))
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == ERROR)
}

#[actix_web::test]
async fn a_decision_arrives_as_spans_of_request_decision_nodes_and_queries() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    let endpoint = collector.url();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=planted%20key"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "buying"),
        // Nothing is sent before the service stops.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("ADMIN_TOKEN", "planted-admin-token"),
        ("RUST_LOG", "tributary=debug"),
    ];
    let mut attempts = 0;
    let serving = loop {
        let mut serving = Serving::start(&databases, &variables);
        serving.ready().await;
        assert_eq!(serving.within("PROD-001", TRACE, "01").await.0, 200);
        assert!(collector.spans().is_empty());
        serving.stop();
        if !collector.spans().is_empty() {
            break serving;
        }
        // A machine that is busy enough may not send them in the two seconds that there are.
        attempts += 1;
        assert!(attempts < 3, "what is left when the service stops is not sent");
    };

    let spans = of_trace(&collector.spans(), TRACE);
    assert_eq!(spans.len(), collector.spans().len(), "probes are not traced");
    let request = named(&spans, "POST /purchasing/flow");
    assert_eq!((request.kind, hexadecimal(&request.parent_span_id).as_str()), (SERVER, PARENT));
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/purchasing/flow"),
        ("http.response.status_code", "200"),
        ("url.path", "/purchasing/flow"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(text(&request.attributes, key).as_deref(), Some(expected), "{key}");
    }
    let decision = named(&spans, "decide purchasing");
    assert_eq!(decision.parent_span_id, request.span_id);
    assert_eq!(text(&decision.attributes, "outcome").as_deref(), Some("success"));
    let node = named(&spans, "node inventory_levels");
    assert_eq!(node.parent_span_id, decision.span_id);
    assert_eq!(named(&spans, "node rule_engine").parent_span_id, decision.span_id);
    let query = named(&spans, "inventory_levels inventory_db");
    assert_eq!((query.kind, &query.parent_span_id), (CLIENT, &node.span_id));
    for (key, expected) in [
        ("db.system.name", "postgresql"),
        ("db.namespace", databases.database("inventory_db").name()),
        ("db.operation.name", "SELECT"),
        ("db.query.summary", "inventory_levels"),
        ("db.response.returned_rows", "1"),
    ] {
        assert_eq!(text(&query.attributes, key).as_deref(), Some(expected), "{key}");
    }
    assert!(!spans.iter().any(is_error), "{spans:#?}");
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));

    collector.read(|got| {
        assert!(got.keys.iter().all(|key| key == "planted key") && !got.keys.is_empty(), "{:?}", got.keys);
        assert_eq!(text(&got.resources, "service.name").as_deref(), Some("buying"));
        assert_eq!(text(&got.resources, "deployment.environment.name").as_deref(), Some("test"));
        let all = format!("{:?} {:?}", got.spans, got.resources);
        for secret in ["PROD-001", "planted", "SELECT a", "$1"] {
            assert!(!all.contains(secret), "{secret} is in a span");
        }
    });
    let lines = serving.lines();
    assert!(!serving.text().contains("planted"));
    let within: Vec<_> = lines.iter().filter(|line| line.to_string().contains("\"request.id\"")).collect();
    assert!(within.iter().any(|line| line.to_string().contains(TRACE)), "{within:#?}");
    assert!(within.iter().all(|line| line.to_string().contains("\"trace_id\"")), "{within:#?}");
}

#[actix_web::test]
async fn a_request_with_a_key_names_its_effect_and_its_result_in_spans_and_log() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    let config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    std::fs::write(config.path(), "log: { decisions: true }\n").expect("written");
    let writer = write_environment().remove(0).1;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
        ("OMS_DB_WRITE_USER", writer),
        ("TRIBUTARY_CONFIG", config.path().display().to_string()),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut serving = Serving::start(&databases, &variables);
    serving.ready().await;
    let keyed = async |trace: &str| {
        let request = serving.purchasing("PROD-001").header("Idempotency-Key", "key-of-a-test");
        let request = request.header("traceparent", format!("00-{trace}-{PARENT}-01"));
        assert_eq!(request.send().await.expect("an answer").status(), 200);
        collector.has_the_request_of(trace).await;
        of_trace(&collector.spans(), trace)
    };
    let first = keyed(TRACE).await;
    let again = keyed("00000000000000000000000000000002").await;
    serving.stop();

    let decision = named(&first, "decide purchasing");
    let of = |span: &Span, key: &str| text(&span.attributes, key);
    assert_eq!(of(decision, "effect.name").as_deref(), Some("place_order"));
    assert_eq!(of(decision, "effect.result").as_deref(), Some("placed"));
    let transaction = named(&first, "place_order oms_db");
    assert_eq!((transaction.kind, &transaction.parent_span_id), (CLIENT, &decision.span_id));
    assert_eq!(of(transaction, "db.namespace").as_deref(), Some(databases.database("oms_db").name()));
    assert!(!first.iter().any(is_error), "{first:#?}");
    assert_eq!(of(named(&again, "decide purchasing"), "effect.result").as_deref(), Some("replayed"));
    assert!(again.iter().all(|span| span.name != "place_order oms_db"));

    let lines: Vec<Json> = serving.lines().into_iter().filter(|line| line["key"] == "key-of-a-test").collect();
    let [decided, replayed] = lines.as_slice() else { panic!("two lines: {}", serving.text()) };
    assert_eq!((&decided["message"], &decided["effect.result"]), (&"decided".into(), &"placed".into()), "{decided}");
    assert_eq!((&replayed["message"], &replayed["effect.result"]), (&"replayed".into(), &"replayed".into()));
    assert_eq!(decided["decision.id"], replayed["decision.id"]);
    assert!(!serving.text().contains("PROD-001"), "no parameter is logged: {}", serving.text());
}

#[actix_web::test]
async fn what_fails_is_an_error_in_its_spans_and_its_problem_and_log_name_the_trace() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    let soon = ("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut serving = Serving::start(&databases, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()), soon]);
    serving.ready().await;
    let missing = "00000000000000000000000000000404";
    let (status, problem) = serving.within("PROD-404", missing, "01").await;
    assert_eq!((status, problem["trace_id"].as_str()), (404, Some(missing)));
    databases.database("uom_db").run("ALTER TABLE uom_conversions RENAME TO elsewhere").await;
    let (status, problem) = serving.within("PROD-001", TRACE, "01").await;
    assert_eq!(
        (status, problem["code"].as_str(), problem["trace_id"].as_str()),
        (500, Some("query_failed"), Some(TRACE))
    );
    // A trace that begins here has an identity too; and so has a batch, in each of its lines.
    let own = serving.purchasing("PROD-001").send().await.expect("an answer").json::<Json>().await.expect("JSON");
    assert_eq!(own["trace_id"].as_str().expect("a trace").len(), 32);
    let batched = "00000000000000000000000000000002";
    let batch =
        serving.post("/purchasing/flow/batch", r#"[{"product_id":"PROD-404"},{"product_id":"PROD-001"}]"#.into());
    let batch = batch.header("traceparent", format!("00-{batched}-{PARENT}-01")).send().await.expect("an answer");
    let lines = batch.text().await.expect("lines");
    assert_eq!(lines.matches(batched).count(), 2, "{lines}");
    for trace in [missing, TRACE, batched] {
        collector.has_the_request_of(trace).await;
    }
    serving.stop();

    let all = collector.spans();
    let failed = of_trace(&all, TRACE);
    for name in ["POST /purchasing/flow", "decide purchasing"] {
        let span = named(&failed, name);
        assert!(is_error(span), "{span:?}");
        assert_eq!(text(&span.attributes, "error.type").as_deref(), Some("query_failed"), "{name}");
    }
    let query = failed.iter().find(|span| span.kind == CLIENT && is_error(span)).expect("a query that failed");
    assert_eq!(text(&query.attributes, "db.response.status_code").as_deref(), Some("42P01"));
    let absent = of_trace(&all, missing);
    assert_eq!(text(&named(&absent, "decide purchasing").attributes, "error.type").as_deref(), Some("not_found"));
    assert!(!is_error(named(&absent, "POST /purchasing/flow")), "a 404 is no fault of the server");
    let batch = of_trace(&all, batched);
    let request = named(&batch, "POST /purchasing/flow/batch");
    let decisions: Vec<_> = batch.iter().filter(|span| span.name == "decide purchasing").collect();
    assert_eq!(decisions.len(), 2);
    assert!(decisions.iter().all(|decision| decision.parent_span_id == request.span_id));
    let told = serving.lines().into_iter().find(|line| line["error"].to_string().contains("42P01")).expect("a line");
    assert_eq!(told["span"]["trace_id"].as_str(), Some(TRACE), "{told}");
}

#[actix_web::test]
async fn a_line_names_its_request_and_its_trace_where_only_warnings_are_logged() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    // But for the line that tells where it listens.
    let quiet = ("RUST_LOG", "warn,tributary::app=info");
    for endpoint in [Some(collector.url()), None] {
        let traced = endpoint.as_ref().map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()));
        let variables: Vec<(&str, &str)> = traced.into_iter().chain([quiet]).collect();
        let mut serving = Serving::start(&databases, &variables);
        serving.ready().await;
        databases.database("uom_db").run("ALTER TABLE uom_conversions RENAME TO elsewhere").await;
        let request = serving.purchasing("PROD-001").header("X-Request-Id", "order-7");
        let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        assert_eq!(request.send().await.expect("an answer").status(), 500);
        databases.database("uom_db").run("ALTER TABLE elsewhere RENAME TO uom_conversions").await;
        serving.stop();
        let lines = serving.lines();
        let told = lines.iter().find(|line| line["message"] == "no decision").expect("a line");
        assert_eq!(told["span"]["request.id"], "order-7", "{told}");
        assert_eq!(told["span"]["trace_id"].as_str(), endpoint.as_ref().map(|_| TRACE), "{told}");
        assert!(lines.iter().all(|line| line["level"] != "INFO" || line["target"].to_string().contains("::app::")));
    }
}

#[actix_web::test]
async fn what_is_not_sampled_is_not_sent() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    let endpoint = collector.url();
    let sampled_out = "0000000000000000000000000000000a";
    let sampler = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let variables = [&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())][..], &sampler].concat();
    let mut serving = Serving::start(&databases, &variables);
    serving.ready().await;
    let (_, problem) = serving.within("PROD-404", sampled_out, "00").await;
    assert_eq!(problem["trace_id"].as_str(), Some(sampled_out), "it can be told by its trace all the same");
    assert_eq!(serving.purchasing("PROD-001").send().await.expect("an answer").status(), 200);
    assert_eq!(serving.within("PROD-001", TRACE, "01").await.0, 200);
    // What the client samples is sent.
    collector.has_the_request_of(TRACE).await;
    serving.stop();
    let spans = collector.spans();
    assert_eq!(of_trace(&spans, TRACE).len(), spans.len(), "nothing else is: {spans:#?}");
}

#[actix_web::test]
async fn where_traces_are_off_nobody_connects_to_a_collector() {
    let databases = SampleDatabases::create().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("it can be asked without waiting");
    let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
    let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_SDK_DISABLED", "true")];
    let mut serving = Serving::start(&databases, &off);
    serving.ready().await;
    let (status, problem) = serving.within("PROD-404", TRACE, "01").await;
    assert_eq!((status, problem.get("trace_id")), (404, None));
    serving.stop();
    let attempt = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(attempt, Err(std::io::ErrorKind::WouldBlock));
    assert!(!serving.text().contains("trace"), "{}", serving.text());
}

#[actix_web::test]
async fn a_collector_that_is_away_or_never_answers_costs_no_decision_and_is_told_once() {
    let databases = SampleDatabases::create().await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let closed = SocketAddr::from(([127, 0, 0, 1], 9));
    for address in [silent.local_addr().expect("its address"), closed] {
        let mut serving = Serving::start(
            &databases,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
                ("OTEL_BSP_SCHEDULE_DELAY", "10"),
                // Far too little for what comes.
                ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
            ],
        );
        serving.ready().await;
        let told = |serving: &Serving| serving.text().matches("traces cannot be sent").count();
        for _ in 0..20 {
            for answer in join_all((0..10).map(|_| serving.purchasing("PROD-001").send())).await {
                assert_eq!(answer.expect("an answer").status(), 200, "{}", serving.text());
            }
        }
        eventually("it is told", || told(&serving) > 0);
        let took = serving.stop();
        assert_eq!(told(&serving), 1, "{}", serving.text());
        assert!(took < Duration::from_secs(30), "stopping took {took:?}");
    }
}

#[actix_web::test]
async fn queries_that_go_together_say_how_many_their_statement_stood_for() {
    let (databases, collector) = (SampleDatabases::create().await, Collector::start());
    let mut serving = Serving::start(
        &databases,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100000"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ],
    );
    serving.ready().await;
    eventually_async("some queries have gone together", async || {
        drop(join_all((0..100).map(|_| serving.purchasing("PROD-001").send())).await);
        let spans = collector.spans();
        spans.iter().any(|span| text(&span.attributes, "db.operation.batch.size").is_some())
    })
    .await;
    serving.stop();
    let spans = collector.spans();
    let sizes = spans.iter().filter_map(|span| text(&span.attributes, "db.operation.batch.size"));
    assert!(sizes.map(|size| size.parse::<usize>().expect("a number")).all(|size| size > 1));
}

#[actix_web::test]
async fn a_collector_with_tls_is_sent_to_where_its_authority_is_trusted_and_nowhere_else() {
    let (databases, directory) = (SampleDatabases::create().await, tempfile::tempdir().expect("a directory"));
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let authority = || {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a certificate").pem();
        (Issuer::new(params, key), root)
    };
    let ((issuer, ours), (_, others)) = (authority(), authority());
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate").pem();
    let files = TlsFiles { certificate: file("server.crt", leaf), key: file("server.key", key.serialize_pem()) };
    let tls = Certificate::read(&files).expect("a certificate").acceptor().expect("TLS");
    let collector = Collector::start().behind(tls).await;
    let endpoint = collector.url().replacen("http:", "https:", 1);
    for (root, is_trusted) in [(file("others.pem", others), false), (file("ours.pem", ours), true)] {
        let root = root.display().to_string();
        let soon = ("OTEL_BSP_SCHEDULE_DELAY", "50");
        let mut serving =
            Serving::start(&databases, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("SSL_CERT_FILE", &root), soon]);
        serving.ready().await;
        assert_eq!(serving.within("PROD-001", TRACE, "01").await.0, 200);
        // The proxy with TLS runs on this thread, so that the wait must not block it.
        eventually_async("they are sent, or it is said that they cannot be", async || {
            !collector.spans().is_empty() || serving.text().contains("traces cannot be sent")
        })
        .await;
        serving.stop();
        let arrived = !of_trace(&collector.spans(), TRACE).is_empty();
        assert_eq!(arrived, is_trusted, "{}", serving.text());
        assert_eq!(serving.text().contains("traces cannot be sent"), !is_trusted, "{}", serving.text());
    }
}
