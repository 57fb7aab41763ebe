//! TLS with the settings of libpq, against real servers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use tributary::actors::domain::State;
use tributary::config::{
    Arguments, ChannelBinding, Config, DomainConfig, Env, Password, RootCert, SessionAttrs, SslMode, Tls,
};
use tributary::diagnostics::Diagnostics;
use tributary::types::{DomainName, Value};

use crate::fixture::{Domain, LONG, config, eventually, run};
use crate::support::{Authority, Server, names};

/// A server with this certificate, and with these lines at the start of its `pg_hba.conf`.
pub(crate) async fn server(authority: &Authority, params: &CertificateParams, rules: &str) -> Server {
    let server = Server::disposable(&[]).expect("a server");
    renew(&server, authority, params);
    server.put_file("root.crt", &authority.root()).expect("written");
    // The superuser of the tests still logs in.
    let all = format!("{rules}\nlocal all all trust\nhost all postgres all trust\n");
    server.put_file("pg_hba.conf", &all).expect("written");
    let settings = "ALTER SYSTEM SET ssl_ca_file = 'root.crt'; ALTER SYSTEM SET ssl = on;\n\
                    CREATE ROLE scram LOGIN PASSWORD 'planted'; CREATE ROLE certified LOGIN; CREATE ROLE anybody LOGIN;";
    // One by one: ALTER SYSTEM cannot run in a transaction.
    for statement in settings.split(';').filter(|statement| !statement.trim().is_empty()) {
        run(&server, "postgres", statement).await;
    }
    server.reload();
    let plain = with(&server, "postgres", Tls { mode: SslMode::Require, ..Tls::default() });
    eventually("the server has TLS", || async { attempt(plain.clone()).await.is_ok() }).await;
    server
}

fn renew(server: &Server, authority: &Authority, params: &CertificateParams) {
    let (certificate, key) = authority.sign(params);
    server.put_file("server.crt", &certificate).expect("written");
    server.put_file("server.key", &key).expect("written");
}

pub(crate) fn with(server: &Server, user: &str, tls: Tls) -> DomainConfig {
    let mut config = config(server, "postgres");
    user.clone_into(&mut config.connection.user);
    config.connection.tls = tls;
    config
}

pub(crate) fn tls(mode: SslMode, root: Option<RootCert>) -> Tls {
    Tls { mode, root, ..Tls::default() }
}

/// Whether the session uses TLS, or why there is no session.
async fn attempt(mut config: DomainConfig) -> Result<bool, String> {
    // A busy machine must not cause timeouts.
    config.timeouts.connect = LONG;
    let domain = Domain::start(config);
    eventually("the login is accepted or rejected", || async {
        let health = domain.handle.health();
        health.state == State::Ready || health.last_error.is_some()
    })
    .await;
    let health = domain.handle.health();
    let outcome = match health.last_error.filter(|_| health.state != State::Ready) {
        None => {
            let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            Ok(domain.value(sql, &[]).await == Value::Boolean(true))
        }
        Some(error) => Err(error.message.to_string()),
    };
    domain.drain().await;
    outcome
}

async fn refused(config: DomainConfig, because: &str) {
    let why = attempt(config).await.expect_err(because);
    assert!(why.contains(because), "`{why}` does not contain `{because}`");
}

#[actix::test]
async fn each_sslmode_has_the_requirements_of_libpq() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let here = server(&right, &names(&["127.0.0.1"]), "").await;
    for (mode, root) in [
        (SslMode::Prefer, None),
        (SslMode::Require, None),
        (SslMode::VerifyCa, right.trusted().into()),
        (SslMode::VerifyFull, right.trusted().into()),
    ] {
        assert_eq!(attempt(with(&here, "postgres", tls(mode, root))).await, Ok(true), "{mode:?}");
    }
    assert_eq!(attempt(with(&here, "postgres", tls(SslMode::Disable, None))).await, Ok(false));
    for mode in [SslMode::VerifyCa, SslMode::VerifyFull] {
        refused(with(&here, "postgres", tls(mode, wrong.trusted().into())), "not from an authority in sslrootcert")
            .await;
    }
    refused(with(&here, "postgres", tls(SslMode::VerifyFull, Some(RootCert::System))), "not from an authority").await;

    // Another host name, and a renewed certificate without a restart of either side.
    renew(&here, &right, &names(&["elsewhere.example.com"]));
    here.reload();
    let full = with(&here, "postgres", tls(SslMode::VerifyFull, right.trusted().into()));
    eventually("the server has its new certificate", || async { attempt(full.clone()).await.is_err() }).await;
    refused(full, "not for this host").await;
    assert_eq!(attempt(with(&here, "postgres", tls(SslMode::VerifyCa, right.trusted().into()))).await, Ok(true));
}

#[actix::test]
async fn an_expired_certificate_is_rejected_with_the_reason() {
    let authority = Authority::new();
    let mut params = names(&["127.0.0.1"]);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let here = server(&authority, &params, "").await;
    refused(with(&here, "postgres", tls(SslMode::VerifyFull, authority.trusted().into())), "has expired").await;
    assert_eq!(attempt(with(&here, "postgres", tls(SslMode::Require, None))).await, Ok(true));
}

/// A server with a prepared certificate and key. Its authority is `root.crt`.
pub(crate) async fn server_of(certificate: &str) -> Server {
    let authority = Authority::new();
    let server = server(&authority, &names(&["127.0.0.1"]), "").await;
    for (from, to) in [("crt", "server.crt"), ("key", "server.key")] {
        let text = std::fs::read_to_string(prepared(&format!("{certificate}.{from}"))).expect("readable");
        server.put_file(to, &text).expect("written");
    }
    server.reload();
    let require = with(&server, "postgres", tls(SslMode::Require, None));
    eventually("the server has its new certificate", || async { attempt(require.clone()).await.is_err() }).await;
    server
}

/// A prepared file, which rcgen cannot make.
pub(crate) fn prepared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres/certificates").join(name)
}

#[actix::test]
async fn an_unusable_certificate_is_rejected_with_its_defect() {
    for (certificate, because) in [
        ("version_1", "the server's certificate is of X.509 version 1: only version 3 can be used"),
        ("p521", "the server's certificate has a key of P-521"),
    ] {
        let here = server_of(certificate).await;
        let root = || Some(RootCert::File(prepared("root.crt")));
        for (mode, root) in [(SslMode::Require, None), (SslMode::VerifyCa, root()), (SslMode::VerifyFull, root())] {
            refused(with(&here, "postgres", tls(mode, root)), because).await;
        }
        assert_eq!(attempt(with(&here, "postgres", tls(SslMode::Prefer, None))).await, Ok(false), "{certificate}");
    }
}

#[actix::test]
async fn a_certificate_with_only_a_common_name_is_rejected_with_the_reason() {
    let authority = Authority::new();
    let mut params = names(&[]);
    params.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    params.is_ca = IsCa::ExplicitNoCa;
    let here = server(&authority, &params, "").await;
    refused(with(&here, "postgres", tls(SslMode::VerifyFull, authority.trusted().into())), "has no subjectAltName")
        .await;
    assert_eq!(attempt(with(&here, "postgres", tls(SslMode::VerifyCa, authority.trusted().into()))).await, Ok(true));
}

#[actix::test]
async fn a_server_without_tls_is_rejected_unless_tls_is_only_preferred() {
    let here = Server::disposable(&[]).expect("a server");
    assert_eq!(attempt(with(&here, "postgres", tls(SslMode::Prefer, None))).await, Ok(false));
    refused(with(&here, "postgres", tls(SslMode::Require, None)), "does not support TLS").await;
}

#[actix::test]
async fn a_self_signed_certificate_in_sslrootcert_is_trusted() {
    let authority = Authority::new();
    let here = server(&authority, &names(&["127.0.0.1"]), "").await;
    // As `openssl req -x509` makes it: an authority used as a server certificate.
    let mut itself = names(&["127.0.0.1"]);
    itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = itself.self_signed(&key).expect("a certificate").pem();
    here.put_file("server.crt", &certificate).expect("written");
    here.put_file("server.key", &key.serialize_pem()).expect("written");
    here.reload();
    let root = Some(RootCert::File(authority.write("itself.crt", &certificate)));
    let full = with(&here, "postgres", tls(SslMode::VerifyFull, root));
    eventually("the server has its new certificate", || async { attempt(full.clone()).await == Ok(true) }).await;

    // Its validity period is checked.
    (itself.not_before, itself.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let certificate = itself.self_signed(&key).expect("a certificate").pem();
    here.put_file("server.crt", &certificate).expect("written");
    here.reload();
    let root = Some(RootCert::File(authority.write("itself.crt", &certificate)));
    let full = with(&here, "postgres", tls(SslMode::VerifyFull, root));
    eventually("the expired certificate is rejected", || async {
        attempt(full.clone()).await.is_err_and(|why| why.contains("has expired"))
    })
    .await;
}

#[actix::test]
async fn a_client_certificate_logs_in_where_the_server_requires_one() {
    let (authority, other) = (Authority::new(), Authority::new());
    let here = server(&authority, &names(&["127.0.0.1"]), "hostssl all certified all cert").await;
    let known = Tls { identity: Some(authority.identity("certified")), ..tls(SslMode::Require, None) };
    assert_eq!(attempt(with(&here, "certified", known)).await, Ok(true));
    refused(with(&here, "certified", tls(SslMode::Require, None)), "refused the login").await;
    let unknown = Tls { identity: Some(other.identity("certified")), ..tls(SslMode::Require, None) };
    let why = attempt(with(&here, "certified", unknown)).await.expect_err("an unknown authority");
    assert!(why.contains("sslcert") || why.contains("refused"), "{why}");
    let other_role = Tls { identity: Some(authority.identity("another_role")), ..tls(SslMode::Require, None) };
    refused(with(&here, "certified", other_role), "refused the login").await;
    let mut mixed = authority.identity("certified");
    mixed.key = other.identity("other").key;
    let mixed = Tls { identity: Some(mixed), ..tls(SslMode::Require, None) };
    refused(with(&here, "certified", mixed), "cannot be used together").await;
}

#[actix::test]
async fn a_password_is_used_with_scram_and_channel_binding() {
    let authority = Authority::new();
    let here = server(&authority, &names(&["127.0.0.1"]), "hostssl all scram all scram-sha-256").await;
    let mut config = with(&here, "scram", tls(SslMode::VerifyFull, authority.trusted().into()));
    config.connection.password = Password::Given("planted".to_owned().into());
    assert_eq!(attempt(config.clone()).await, Ok(true));
    config.connection.password = Password::Given("wrong".to_owned().into());
    refused(config, "refused the password").await;
}

#[actix::test]
async fn required_channel_binding_needs_tls_and_scram() {
    let authority = Authority::new();
    let rules = "host all scram all scram-sha-256";
    let here = server(&authority, &names(&["127.0.0.1"]), rules).await;
    let asking = |user: &str, mode, channel_binding| {
        let mut config = with(&here, user, Tls { channel_binding, ..tls(mode, None) });
        config.connection.password = Password::Given("planted".to_owned().into());
        config
    };
    for binding in [ChannelBinding::Disable, ChannelBinding::Prefer, ChannelBinding::Require] {
        assert_eq!(attempt(asking("scram", SslMode::Require, binding)).await, Ok(true), "{binding:?}");
    }
    assert_eq!(attempt(asking("scram", SslMode::Disable, ChannelBinding::Prefer)).await, Ok(false));
    // Without TLS there is no channel, and a login without password has no binding.
    refused(asking("scram", SslMode::Disable, ChannelBinding::Require), "channel binding").await;
    refused(asking("postgres", SslMode::Require, ChannelBinding::Require), "channel binding").await;
}

#[actix::test]
async fn prefer_uses_no_tls_where_the_rules_of_the_server_reject_it() {
    let authority = Authority::new();
    let rules = "hostssl all anybody all reject\nhostnossl all anybody all trust";
    let here = server(&authority, &names(&["127.0.0.1"]), rules).await;
    assert_eq!(attempt(with(&here, "anybody", tls(SslMode::Prefer, None))).await, Ok(false));
    refused(with(&here, "anybody", tls(SslMode::Require, None)), "refused the login").await;
}

#[actix::test]
async fn a_unix_socket_needs_no_tls() {
    let sockets = tempfile::tempdir().expect("a directory");
    // The server runs as another user where the tests run as root.
    std::fs::set_permissions(sockets.path(), std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let path = sockets.path().to_str().expect("text");
    let here = Server::disposable(&[("unix_socket_directories", path)]).expect("a server");
    let mut config = with(&here, "postgres", tls(SslMode::Require, None));
    config.connection.hosts = vec![(path.to_owned(), here.port())];
    assert_eq!(attempt(config).await, Ok(false));
}

#[actix::test]
async fn the_host_with_the_requested_role_is_used() {
    let primary = Server::disposable(&[]).expect("a server");
    let standby = Server::disposable(&[("wal_level", "replica"), ("hot_standby", "on")]).expect("a server");
    // A server that stays in recovery.
    standby.stop().expect("stopped");
    standby.put_file("standby.signal", "").expect("written");
    standby.restart().expect("restarted");
    let asking = |attrs: SessionAttrs, servers: &[&Server]| {
        let mut config = with(&primary, "postgres", Tls::default());
        config.connection.hosts = servers.iter().map(|server| (server.host().to_owned(), server.port())).collect();
        config.connection.session_attrs = attrs;
        config
    };
    let answers = async |config: DomainConfig| {
        let domain = Domain::ready(config).await;
        let port = domain.value("SELECT inet_server_port()::int8", &[]).await;
        domain.drain().await;
        port
    };
    let port = |server: &Server| Value::Integer(i64::from(server.port()));
    for servers in [[&primary, &standby], [&standby, &primary]] {
        assert_eq!(answers(asking(SessionAttrs::Primary, &servers)).await, port(&primary));
        assert_eq!(answers(asking(SessionAttrs::Standby, &servers)).await, port(&standby));
        assert_eq!(answers(asking(SessionAttrs::PreferStandby, &servers)).await, port(&standby));
        assert_eq!(answers(asking(SessionAttrs::Any, &servers)).await, port(servers[0]));
    }
    assert_eq!(answers(asking(SessionAttrs::PreferStandby, &[&primary])).await, port(&primary));
    refused(
        asking(SessionAttrs::Standby, &[&primary]),
        "the server is a primary, and target_session_attrs is `standby`",
    )
    .await;
    refused(asking(SessionAttrs::Primary, &[&standby]), "the server is a standby").await;
}

/// The domain as these variables configure it.
fn configured(variables: &[(&str, &str)]) -> DomainConfig {
    let env = Env::from_pairs(variables.iter().copied());
    let settings = Config::load(&Arguments::default(), env, Diagnostics::new()).expect("settings");
    settings.domain(&DomainName::parse("oms_db").expect("a name"), None).expect("a domain")
}

#[actix::test]
async fn tls_settings_of_variables_and_urls_are_used() {
    let (authority, other) = (Authority::new(), Authority::new());
    let rules = "hostssl all certified all cert\nhostssl all scram all scram-sha-256";
    let here = server(&authority, &names(&["127.0.0.1"]), rules).await;
    let identity = authority.identity("certified");
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let (certificate, key) = (path(&identity.certificate), path(&identity.key));
    let (root, strange) = (path(&authority.file("root.crt")), path(&other.file("root.crt")));
    let port = here.port().to_string();
    // Each setting has an effect: a changed value changes the outcome.
    let words = |root: &str, attrs: &str, mine: bool| {
        let mut words = vec![("sslmode", "verify-full".to_owned()), ("sslrootcert", root.to_owned())];
        words.push(("target_session_attrs", attrs.to_owned()));
        if mine {
            words.extend([("sslcert", certificate.clone()), ("sslkey", key.clone())]);
        }
        words
    };
    let by_variables = |words: &[(&str, String)]| {
        let written: Vec<_> =
            words.iter().map(|(word, value)| (format!("OMS_DB_{}", word.to_uppercase()), value)).collect();
        let place = [
            ("OMS_DB_HOST", "127.0.0.1"),
            ("OMS_DB_PORT", &port),
            ("OMS_DB_USER", "certified"),
            ("OMS_DB_NAME", "postgres"),
        ];
        configured(
            &place.into_iter().chain(written.iter().map(|(name, value)| (&**name, &***value))).collect::<Vec<_>>(),
        )
    };
    let by_url = |words: &[(&str, String)]| {
        let words: Vec<_> = words.iter().map(|(word, value)| format!("{word}={value}")).collect();
        let url = format!("postgres://certified@127.0.0.1:{port}/postgres?{}", words.join("&"));
        configured(&[("OMS_DB_URL", &url)])
    };
    for written in [&by_variables as &dyn Fn(&[(&str, String)]) -> DomainConfig, &by_url] {
        assert_eq!(attempt(written(&words(&root, "primary", true))).await, Ok(true));
        refused(written(&words(&strange, "primary", true)), "not from an authority in sslrootcert").await;
        refused(written(&words(&root, "primary", false)), "refused the login").await;
        refused(written(&words(&root, "standby", true)), "target_session_attrs is `standby`").await;
    }

    // A URL as providers give it, in a file, with the other settings in variables.
    let url =
        format!("postgres://scram:planted@127.0.0.1:{port}/postgres?sslmode=verify-full&channel_binding=require\n");
    let file = path(&authority.write("url", &url));
    let provided = configured(&[("OMS_DB_URL_FILE", &file), ("OMS_DB_SSLROOTCERT", &root)]);
    assert_eq!(provided.connection.tls.channel_binding, ChannelBinding::Require);
    assert_eq!(attempt(provided).await, Ok(true));
    refused(configured(&[("OMS_DB_URL_FILE", &file), ("OMS_DB_SSLROOTCERT", &strange)]), "not from an authority").await;
}
