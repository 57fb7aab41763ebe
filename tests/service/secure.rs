//! TLS and tokens of services: files that are read again, reasons in health, and secrets that nothing shows.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tributary::config::new_token;
use tributary::types::DomainName;

use crate::bureau::{Bureau, Flow, Say, decide, decides, recovers, status, truth};
use crate::support::{Authority, SampleDatabases, Setup, TestApp, eventually_async, names, program};

/// An acceptor with a certificate of `authority`, which asks for certificates of `clients`.
fn acceptor(authority: &Authority, params: &CertificateParams, clients: Option<&Authority>) -> TlsAcceptor {
    let (certificate, key) = authority.sign(params);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_file(clients.file("root.crt")).expect("a certificate");
            roots.add(root).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("a server")))
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("text")
}

/// Waits until the health of the domain gives this reason.
async fn refuses(app: &TestApp, because: &str) {
    eventually_async(because, async || {
        let health = app.get("/health/bureau_db").await.json();
        health["last_error"]["message"].as_str().is_some_and(|why| why.contains(because))
    })
    .await;
    let problem = decide(app).await;
    assert_eq!(problem.code(), "domain_unavailable", "{}", problem.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_verified_with_a_reason_in_health_and_renewed_without_a_restart() {
    let (right, other) = (Authority::new(), Authority::new());
    let bureau = Bureau::start().await;
    let local = names(&["127.0.0.1"]);
    let mut expired = names(&["127.0.0.1"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    bureau.secure(acceptor(&right, &local, None));
    let flow = Flow::write();
    let setup = flow.setup(&bureau.url("https")).set("BUREAU_DB_SSLROOTCERT", path(&right.file("root.crt")));
    let app = TestApp::start(setup);
    app.wait_for("/readyz", 200).await;
    decides(&app, "a certificate of the authority").await;
    for (acceptor, because) in [
        (acceptor(&other, &local, None), "not from an authority in sslrootcert"),
        (acceptor(&right, &expired, None), "has expired"),
        (acceptor(&right, &names(&["elsewhere.example.com"]), None), "not for this host"),
    ] {
        bureau.secure(acceptor);
        // The connections that there are stay good.
        decides(&app, because).await;
        let domain = app.domains.get(&DomainName::parse("bureau_db").expect("a name")).expect("the domain").clone();
        domain.recycle();
        bureau.says(|_| Say::Close(String::new()));
        refuses(&app, because).await;
        bureau.says(truth);
        bureau.secure(self::acceptor(&right, &local, None));
        recovers(&app, because).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_asks_for_a_certificate_gets_that_of_sslcert() {
    let (authority, other) = (Authority::new(), Authority::new());
    let bureau = Bureau::start().await;
    bureau.secure(acceptor(&authority, &names(&["127.0.0.1"]), Some(&authority)));
    let flow = Flow::write();
    let setup = || flow.setup(&bureau.url("https")).set("BUREAU_DB_SSLROOTCERT", path(&authority.file("root.crt")));
    let with = |authority: &Authority| {
        let identity = authority.identity("service");
        let setup = setup().set("BUREAU_DB_SSLCERT", path(&identity.certificate));
        setup.set("BUREAU_DB_SSLKEY", path(&identity.key))
    };
    let app = TestApp::start(with(&authority));
    app.wait_for("/readyz", 200).await;
    decides(&app, "a certificate of the authority").await;
    for (setup, name) in [(setup(), "no certificate"), (with(&other), "a certificate of another authority")] {
        let app = TestApp::start(setup);
        eventually_async(name, async || {
            app.get("/health/bureau_db").await.json()["last_error"]["message"].as_str().is_some()
        })
        .await;
        let (problem, health) = (decide(&app).await, app.get("/health/bureau_db").await.text);
        assert_eq!(problem.code(), "domain_unavailable", "{name}: {}", problem.text);
        assert!(health.contains("(sslcert, sslkey)"), "{name}: {health}");
    }
}

/// Accepts only this token.
fn guarded(token: &Arc<Mutex<&'static str>>) -> impl Fn(&crate::bureau::Heard) -> Say + Send + 'static {
    let token = Arc::clone(token);
    move |heard| {
        let header = format!("authorization: Bearer {}\r\n", token.lock().expect("no panic"));
        if heard.head.contains(&header) { truth(heard) } else { Say::Keep(status("401 Unauthorized", "", "")) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_rotated_fails_no_query_and_one_that_is_refused_recovers_with_its_file() {
    let bureau = Bureau::start().await;
    let token = Arc::new(Mutex::new("planted-1"));
    bureau.says(guarded(&token));
    let flow = Flow::write();
    let file = flow.file("token");
    std::fs::write(&file, "planted-1\n").expect("written");
    let app = TestApp::start(flow.setup(&bureau.url("http")).set("BUREAU_DB_TOKEN_FILE", path(&file)));
    app.wait_for("/readyz", 200).await;
    let rounds = ["planted-2", "planted-3", "planted-4"];
    let load = async || {
        for _ in 0..40 {
            decides(&app, "a rotated token").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let rotate = async || {
        for next in rounds {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // The file first: the service accepts one token only.
            std::fs::write(&file, next).expect("written");
            *token.lock().expect("no panic") = next;
        }
    };
    tokio::join!(load(), load(), load(), load(), rotate());
    // The service is first.
    *token.lock().expect("no panic") = "planted-5";
    refuses(&app, "refuses the token").await;
    for path in ["/health", "/health/bureau_db", "/metrics", "/flows"] {
        assert!(!app.get(path).await.text.contains("planted"), "{path}");
    }
    std::fs::write(&file, "planted-5").expect("written");
    recovers(&app, "the new token").await;
    for (text, because) in [("", "the password"), ("planted\u{1}token", "header")] {
        std::fs::write(&file, text).expect("written");
        *token.lock().expect("no panic") = "planted-6";
        eventually_async("the file is refused", async || {
            let health = app.get("/health/bureau_db").await;
            assert!(!health.text.contains("planted"), "{}", health.text);
            health.text.contains(because)
        })
        .await;
        *token.lock().expect("no panic") = "planted-5";
        std::fs::write(&file, "planted-5").expect("written");
        recovers(&app, "a file that was mended").await;
    }
}

/// A service that answers for `oms_db` with TLS, and with the tokens of a file.
struct Served {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Served {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("written");
    }

    /// The tokens that it accepts: their digests.
    fn accept(&self, digests: &[&str]) {
        let entries = digests.iter().enumerate();
        let lines = entries.map(|(at, digest)| format!("- {{ name: n{at}, sha256: {digest}, flows: [purchasing] }}\n"));
        self.write("tokens.yaml", &format!("tokens:\n{}", lines.collect::<String>()));
    }

    fn certify(&self) {
        let (certificate, key) = self.authority.sign(&names(&["127.0.0.1"]));
        self.write("server.crt", &certificate);
        self.write("server.key", &key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_certificate_of_a_served_domain_are_rotated_under_load_without_a_failure() {
    let ((old, old_digest), (new, new_digest), (last, last_digest)) = (new_token(), new_token(), new_token());
    let served = Served { directory: tempfile::tempdir().expect("a directory"), authority: Authority::new() };
    served.accept(&[&old_digest]);
    served.certify();
    served.write("service.yaml", "http: { tls: { certificate: server.crt, key: server.key }, tokens: tokens.yaml }\n");
    let databases = SampleDatabases::create().await;
    let shipped = Setup::shipped().on(&databases);
    let (domain, config) = (DomainName::parse("oms_db").ok(), Some(served.directory.path().join("service.yaml")));
    let service = TestApp::start(Setup { config, domain, ..shipped });
    let file = served.directory.path().join("token");
    served.write("token", &old);
    let setup = Setup::shipped().on(&databases).domain("oms_db", &service.url("").replace("http:", "https:"));
    let setup = setup.set("OMS_DB_SSLROOTCERT", path(&served.authority.file("root.crt")));
    let app = TestApp::start(setup.set("OMS_DB_TOKEN_FILE", path(&file)));
    eventually_async("it decides", async || app.purchasing("PROD-001").await.status == 200).await;

    let is_over = AtomicBool::new(false);
    let load = async || {
        while !is_over.load(Ordering::SeqCst) {
            let answer = app.purchasing("PROD-001").await;
            assert!(answer.status == 200 && answer.text.contains("8525.00"), "{}", answer.text);
        }
    };
    // The service looks at its files each second, and says with which token it is content.
    let client = reqwest::Client::builder()
        .add_root_certificate(
            reqwest::Certificate::from_pem(served.authority.root().as_bytes()).expect("a certificate"),
        )
        .build()
        .expect("a client");
    let url = service.url("").replace("http:", "https:");
    let answers = async |token: &str, expected: u16| {
        eventually_async("the service has read its tokens", async || {
            let answer = client.get(&url).bearer_auth(token).send().await;
            answer.is_ok_and(|answer| answer.status().as_u16() == expected)
        })
        .await;
    };
    let rotate = async || {
        served.accept(&[&old_digest, &new_digest]);
        served.certify();
        answers(&new, 200).await;
        served.write("token", &new);
        served.accept(&[&new_digest]);
        answers(&old, 401).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        is_over.store(true, Ordering::SeqCst);
    };
    tokio::join!(load(), load(), load(), load(), rotate());

    served.accept(&[&last_digest]);
    answers(&last, 200).await;
    let refused = app.purchasing("PROD-001").await;
    assert_eq!((refused.code().as_str(), refused.json()["domain"].as_str()), ("domain_unavailable", Some("oms_db")));
    served.write("token", &last);
    let start = Instant::now();
    eventually_async("it decides again", async || app.purchasing("PROD-001").await.status == 200).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_the_token_nor_the_credentials_of_a_url_are_shown() {
    let bureau = Bureau::start().await;
    let flow = Flow::write();
    let port = bureau.url("http").rsplit(':').next().expect("a port").to_owned();
    for url in [
        format!("http://planted-user:planted-password@127.0.0.1:{port}"),
        format!("http://planted-user@127.0.0.1:{port}"),
        format!("http://:planted-password@127.0.0.1:{port}"),
    ] {
        let environment = [("BUREAU_DB_URL".to_owned(), url)];
        let output = program(flow.file("").as_path(), &environment)
            .args(["check", "--graph", "graph.yaml"])
            .output()
            .expect("the program runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains("may not have a user or a password"), "{said}");
        assert!(!said.contains("planted"), "{said}");
    }
    assert_eq!(bureau.connections(), 0);

    // Everything that is logged, while the token is accepted and while it is not.
    let refused = Arc::new(Mutex::new("planted-token"));
    bureau.says(guarded(&refused));
    let port = crate::support::Port::any();
    let address = format!("127.0.0.1:{}", port.number());
    let environment =
        [("BUREAU_DB_URL".to_owned(), bureau.url("http")), ("BUREAU_DB_TOKEN".to_owned(), "planted-token".to_owned())];
    let log = std::fs::File::create(flow.file("log")).expect("a file");
    let mut child = program(flow.file("").as_path(), &environment)
        .args(["serve", "--graph", "graph.yaml", "--config", "service.yaml", "--bind", &address])
        .env("RUST_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the program starts");
    let client = reqwest::Client::new();
    let decide = async || {
        let request = client.post(format!("http://{address}/score")).header("Content-Type", "application/json");
        let answer = request.body(r#"{"id": "x"}"#).send().await.ok()?;
        answer.text().await.ok()
    };
    let decided = async || decide().await.is_some_and(|text| text == crate::bureau::DECISION);
    eventually_async("it decides", decided).await;
    *refused.lock().expect("no panic") = "another";
    let refused = async || decide().await.is_some_and(|text| text.contains("domain_unavailable"));
    eventually_async("it is refused", refused).await;
    child.kill().expect("it can be ended");
    child.wait().expect("it ends");
    let log = std::fs::read_to_string(flow.file("log")).expect("the log");
    assert!(log.contains("refuses the token"), "the log tells why");
    assert!(!log.contains("planted-token"), "the log has the token");
}
