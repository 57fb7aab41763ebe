//! The configuration: what it reads, the precedence of sources, its errors, and that no secret is shown.

#![expect(clippy::unwrap_used, reason = "clippy lets test functions unwrap, but not what they share")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tributary::config::{
    Arguments, Config, Connection, DEFAULT_DOMAIN, DomainConfig, Env, LogFormat, Password, Threads,
};
use tributary::diagnostics::{Diagnostics, Source};
use tributary::types::DomainName;
use tributary::yaml;

#[path = "config/write_role.rs"]
mod write_role;

/// A secret for every place that can have one; no message, `Debug` or `Display` may repeat it.
const SECRET: &str = "hunter2";

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::from_pairs(pairs.iter().copied())
}

fn env_with_dotenv(pairs: &[(&str, &str)], dotenv: &str) -> (Env, Diagnostics) {
    let mut errors = Diagnostics::new();
    let env = env(pairs).with_dotenv_text(".env", dotenv, &mut errors);
    (env, errors)
}

/// A configuration from a file of this text and this environment.
fn load(file: &str, env: Env) -> Result<Config, Diagnostics> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("service.yaml");
    std::fs::write(&path, file).unwrap();
    Config::load(&Arguments { config: Some(path), ..Arguments::default() }, env, Diagnostics::new())
}

fn from_env(pairs: &[(&str, &str)]) -> Config {
    load("", env(pairs)).unwrap()
}

fn read_domain(pairs: &[(&str, &str)], name: &str) -> Result<DomainConfig, Diagnostics> {
    from_env(pairs).domain(&domain(name), None)
}

/// The errors as they are printed to a pipe, without the directory of this run.
fn plain(diagnostics: &Diagnostics) -> String {
    let text = diagnostics.to_string();
    assert!(!format!("{text}{diagnostics:?}").contains(SECRET), "a secret shows:\n{text}");
    let directory = std::env::temp_dir().display().to_string();
    let lines = text.lines().map(|line| match (line.find(&directory), line.find("service.yaml")) {
        (Some(start), Some(end)) => format!("{}{}", &line[..start], &line[end..]),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn hosts(connection: &Connection) -> Vec<(&str, u16)> {
    connection.hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect()
}

fn given(password: &Password) -> Option<&str> {
    match password {
        Password::Given(secret) => Some(secret.expose_secret()),
        Password::None | Password::File(_) => None,
    }
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)).unwrap()
}

#[test]
fn an_empty_file_and_no_file_mean_the_defaults() {
    let defaults = format!("{:?}", Config::default());
    for file in ["", "# nothing\n", "---\n", "http:\nrules:\ndomains:\n  defaults:\n"] {
        assert_eq!(format!("{:?}", load(file, Env::default()).unwrap()), defaults, "{file:?}");
    }
}

#[test]
fn a_file_that_is_named_must_exist() {
    let arguments = Arguments { config: Some("no/such/file.yaml".into()), ..Arguments::default() };
    let refused = Config::load(&arguments, Env::default(), Diagnostics::new()).unwrap_err();
    assert!(plain(&refused).contains("argument --config: `no/such/file.yaml` cannot be read"), "{refused}");
    let variables = env(&[("TRIBUTARY_CONFIG", "no/such/file.yaml")]);
    let refused = Config::load(&Arguments::default(), variables, Diagnostics::new()).unwrap_err();
    assert!(plain(&refused).contains("environment variable TRIBUTARY_CONFIG: `no/such/file.yaml`"), "{refused}");
}

#[test]
fn the_documented_file_has_the_defaults() {
    let config = load(&shipped("service.yaml"), Env::default()).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_documented_file_has_every_key() {
    let root = yaml::parse(&Source::new("service.yaml", shipped("service.yaml")), yaml::Limits::default()).unwrap();
    for section in [
        "",
        "http",
        "rules",
        "rules.limits",
        "graph",
        "graph.limits",
        "log",
        "effects",
        "domains.defaults",
        "domains.defaults.pool",
        "domains.defaults.timeouts",
    ] {
        let keys: Vec<&str> = section.split('.').filter(|key| !key.is_empty()).collect();
        let node = keys.iter().fold(&root, |node, key| node.get(key).unwrap());
        let mut file = String::new();
        for (depth, key) in keys.iter().chain(&["zzzzzz"]).enumerate() {
            writeln!(file, "{}{key}:", "  ".repeat(depth)).unwrap();
        }
        let refused = load(&file, Env::default()).unwrap_err();
        let help = refused.iter().next().unwrap().help.clone().unwrap();
        let known: Vec<&str> = help.split('`').skip(1).step_by(2).collect();
        assert!(!known.is_empty(), "{section}: {help}");
        // A key without effect is not documented.
        for key in known.into_iter().filter(|key| *key != "max_waiting") {
            assert!(node.get(key).is_some(), "`{key}` of `{section}` is not documented");
        }
    }
}

#[test]
fn the_example_environment_configures_the_four_domains() {
    let (environment, errors) = env_with_dotenv(&[], &shipped(".env.example"));
    assert!(errors.is_empty(), "{errors}");
    let config = load("", environment).unwrap();
    for name in ["oms_db", "inventory_db", "supplier_db", "uom_db"] {
        let domain = config.domain(&domain(name), None).unwrap();
        assert_eq!(hosts(&domain.connection), [("localhost", 5432)]);
        assert_eq!(domain.connection.database, name);
        assert!(matches!(domain.connection.password, Password::None));
    }
}

#[test]
fn the_commented_sections_of_the_example_environment_are_valid() {
    let secrets = ["AWS_DB_PASSWORD", "GCP_DB_PASSWORD", "AZURE_DB_PASSWORD", "LOCAL_DB_PASSWORD", "INVENTORY_SECRET"];
    let secrets: Vec<(&str, &str)> = secrets.iter().map(|name| (*name, SECRET)).collect();
    let mut read = 0;
    let example = shipped(".env.example");
    for section in example.split("# --- ").skip(2) {
        let is_assignment = |line: &&str| {
            line.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        };
        let lines: Vec<&str> =
            section.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_assignment).collect();
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.contains("/run/secrets")).collect();
        let (environment, errors) = env_with_dotenv(&secrets, &lines.join("\n"));
        assert!(errors.is_empty(), "{errors}");
        for name in ["oms_db", "inventory_db", "supplier_db", "uom_db"] {
            let prefix = name.to_uppercase();
            if lines.iter().any(|line| line.starts_with(&prefix)) {
                let config = Config::load(&Arguments::default(), environment.clone(), Diagnostics::new());
                let config = config.map_err(|refused| refused.to_string());
                let domain = config.and_then(|config| config.domain(&domain(name), None).map_err(|e| e.to_string()));
                assert!(domain.is_ok(), "{domain:?}");
                read += 1;
            }
        }
    }
    assert_eq!(read, 9);
}

#[test]
fn the_command_line_replaces_the_environment_then_dotenv_then_the_file() {
    let file = "http: {bind: '127.0.0.1:1', workers: 1}\nlog: {format: json, filter: warn}\ntime_zone: Europe/Berlin\n";
    let dotenv = "TRIBUTARY_BIND=127.0.0.1:2\nTRIBUTARY_WORKERS=2\nTRIBUTARY_TIME_ZONE=Asia/Tokyo\nRUST_LOG=error\n";
    let process = [("TRIBUTARY_BIND", "127.0.0.1:3"), ("TRIBUTARY_WORKERS", "3")];
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("service.yaml");
    std::fs::write(&path, file).unwrap();
    let (environment, errors) = env_with_dotenv(&process, dotenv);
    let arguments = Arguments { config: Some(path), bind: Some("localhost:4".to_owned()), ..Arguments::default() };
    let config = Config::load(&arguments, environment, errors).unwrap();
    assert_eq!(config.http.bind.to_string(), "127.0.0.1:4");
    assert_eq!(config.http.workers.count(), 3);
    assert_eq!(config.time_zone.iana_name(), Some("Asia/Tokyo"));
    assert_eq!((config.log.format, config.log.filter.as_deref()), (LogFormat::Json, Some("error")));
    assert_eq!(config.rules.threads, Threads::PerCore);
    let config = from_env(&[("RUST_LOG", "error"), ("TRIBUTARY_LOG", "debug")]);
    assert_eq!(config.log.filter.as_deref(), Some("debug"));
}

#[test]
fn the_file_named_by_a_variable_is_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("other.yaml");
    std::fs::write(&path, "http: {bind: '[::1]:9'}\n").unwrap();
    let variables = env(&[("TRIBUTARY_CONFIG", path.to_str().unwrap())]);
    let config = Config::load(&Arguments::default(), variables, Diagnostics::new()).unwrap();
    assert_eq!(config.http.bind.to_string(), "[::1]:9");
}

#[test]
fn a_value_of_the_file_may_refer_to_a_variable() {
    let file = "http:\n  bind: 0.0.0.0:${PORT}\n  workers: ${WORKERS}\nlog:\n  filter: tributary=${LEVEL}\n";
    let config = load(file, env(&[("PORT", "81"), ("WORKERS", "3"), ("LEVEL", "debug")])).unwrap();
    assert_eq!(config.http.bind.to_string(), "0.0.0.0:81");
    assert_eq!(config.http.workers.count(), 3);
    assert_eq!(config.log.filter.as_deref(), Some("tributary=debug"));
}

#[test]
fn a_faulty_file_is_refused_with_all_its_errors() {
    let cases = [
        "htp: {}\nhttp: {bin: 1, bind: nowhere, workers: 0, request_timeout_ms: 0, body_limit_bytes: -1}\n",
        "rules: {threads: many, limits: {cycles: 1.5, nesting: x}}\ngraph: {limits: {nesting: 201}}\n",
        "time_zone: Mars/Olympus\nlog: {format: xml, filter: 'a=b=c'}\n",
        "http: {bind: '${NO_SUCH}:1'}\ntime_zone: ${ZONE\nlog: {filter: '${LEVEL}'}\n",
        "http: {bind: '${HIDDEN}', workers: '${HIDDEN}'}\nlog: {format: '${HIDDEN}', filter: '${HIDDEN}=x=y'}\n",
        "domains:\n  defaults: {pool: {min: 30}}\n  oms_db: {pool: {max: 3}, timeouts: {query_ms: 5}}\n  bad-name: {}\n",
        "domains: {oms_db: {pol: {}, pool: {max: 0, acquire_ms: 5}, timeouts: {query: 5}}}\n",
        "http: {bind: 1\n",
        "http: {}\nhttp: {}\n",
        "- http\n",
    ];
    let mut text = String::new();
    for case in cases {
        let variables = env(&[("HIDDEN", SECRET), ("LEVEL", "info")]);
        writeln!(text, "{case}{}\n", plain(&load(case, variables).unwrap_err())).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn faulty_variables_of_the_service_are_refused_at_once() {
    let directory = TempDir::new().unwrap();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let pairs = [
        ("TRIBUTARY_BIND", "8080"),
        ("TRIBUTARY_BNID", SECRET),
        ("TRIBUTARY_NO_SUCH_THING", SECRET),
        ("TRIBUTARY_WORKERS", "-1"),
        ("TRIBUTARY_REQUEST_TIMEOUT_MS", "1s"),
        ("TRIBUTARY_LOG_FORMAT", "xml"),
        ("RUST_LOG", "a=b=c"),
        ("ADMIN_TOKEN_FILE", empty.to_str().unwrap()),
    ];
    let (environment, errors) =
        env_with_dotenv(&pairs, "TRIBUTARY_TIME_ZONE=${ZONE}\nTRIBUTARY_BODY_LIMIT_BYTES=1k\n-\n");
    let arguments = Arguments { bind: Some("x".to_owned()), ..Arguments::default() };
    let refused = Config::load(&arguments, environment, errors).unwrap_err();
    insta::assert_snapshot!(plain(&refused));
}

#[test]
fn the_admin_token_is_a_secret_from_a_variable_or_a_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    for pairs in [&[("ADMIN_TOKEN", SECRET)][..], &[("ADMIN_TOKEN_FILE", path)]] {
        let config = from_env(pairs);
        assert_eq!(config.admin_token.as_ref().map(ExposeSecret::expose_secret), Some(SECRET));
        assert!(!format!("{config:?}").contains(SECRET));
    }
    assert!(from_env(&[("ADMIN_TOKEN", "")]).admin_token.is_none());
    let refused = load("", env(&[("ADMIN_TOKEN", SECRET), ("ADMIN_TOKEN_FILE", path)])).unwrap_err();
    assert!(plain(&refused).contains("both set"));
}

#[test]
fn a_domain_takes_its_defaults_from_its_name() {
    let config = from_env(&[("OMS_DB_PORT", "5433"), ("DB_HOST", "db.internal")]);
    let oms = config.domain(&domain("oms_db"), None).unwrap();
    assert_eq!(hosts(&oms.connection), [("localhost", 5433)]);
    assert_eq!((oms.connection.user.as_str(), oms.connection.database.as_str()), ("postgres", "oms_db"));
    assert_eq!((oms.connection.application_name.as_str(), oms.connection.options.as_str()), ("tributary", ""));
    assert!(matches!(oms.connection.password, Password::None));
    let default = config.domain(&domain(DEFAULT_DOMAIN), None).unwrap();
    assert_eq!(hosts(&default.connection), [("db.internal", 5432)]);
    assert_eq!(default.connection.database, "postgres");
}

#[test]
fn every_variable_of_a_domain_is_honoured() {
    let config = from_env(&[
        ("OMS_DB_HOST", "a,/var/run/postgresql"),
        ("OMS_DB_PORT", "1,2"),
        ("OMS_DB_USER", "reader"),
        ("OMS_DB_PASSWORD", "p@:/${PART}"),
        ("PART", "?#%41"),
        ("OMS_DB_NAME", "oms"),
        ("OMS_DB_APPLICATION_NAME", "buyer"),
        ("OMS_DB_CONNECT_TIMEOUT", "7"),
        ("OMS_DB_OPTIONS", "-c search_path=x"),
        ("OMS_DB_SSLMODE", "disable"),
    ]);
    let oms = config.domain(&domain("oms_db"), None).unwrap();
    assert_eq!(hosts(&oms.connection), [("a", 1), ("/var/run/postgresql", 2)]);
    assert_eq!((oms.connection.user.as_str(), oms.connection.database.as_str()), ("reader", "oms"));
    assert_eq!(given(&oms.connection.password), Some("p@:/?#%41"));
    assert_eq!((&*oms.connection.application_name, &*oms.connection.options), ("buyer", "-c search_path=x"));
    assert_eq!(oms.timeouts.connect, Duration::from_secs(7));
}

#[test]
fn a_url_of_a_domain_may_leave_its_password_and_its_database_to_others() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, SECRET).unwrap();
    let whole = read_domain(&[("OMS_DB_URL", "${WHOLE}"), ("WHOLE", "postgres://u@h/x?connect_timeout=9")], "oms_db");
    let whole = whole.unwrap();
    assert_eq!((&*whole.connection.user, &*whole.connection.database), ("u", "x"));
    assert_eq!(whole.timeouts.connect, Duration::from_secs(9));
    let oms = read_domain(
        &[
            ("OMS_DB_URL", "postgres://u@h"),
            ("OMS_DB_PASSWORD_FILE", file.to_str().unwrap()),
            ("OMS_DB_APPLICATION_NAME", "a"),
            ("OMS_DB_OPTIONS", "-c x=y"),
        ],
        "oms_db",
    );
    let connection = oms.unwrap().connection;
    assert_eq!(connection.database, "oms_db");
    assert!(matches!(&connection.password, Password::File(path) if *path == file));
    assert_eq!((&*connection.application_name, &*connection.options), ("a", "-c x=y"));
}

#[test]
fn pools_and_timeouts_come_from_the_file() {
    let file = "domains:\n  defaults: {pool: {min: 1, max_lifetime_ms: 60000}, timeouts: {query_ms: 100}}\n  \
                oms_db: {pool: {max: 7}, timeouts: {probe_ms: 9}}\n  uom_bd: {}\n";
    let config = load(file, env(&[("OMS_DB_HOST", "a"), ("UOM_DB_HOST", "b")])).unwrap();
    let (oms, uom) = (domain("oms_db"), domain("uom_db"));
    let domains = config.domains([(&oms, None), (&uom, None)]).unwrap();
    let sizes = |domain: &DomainConfig| {
        let DomainConfig { pool, timeouts, .. } = domain;
        (pool.min, pool.max, timeouts.query.as_millis(), timeouts.probe.as_millis())
    };
    assert_eq!(domains.iter().map(sizes).collect::<Vec<_>>(), [(1, 7, 100, 9), (1, 20, 100, 1_000)]);
    assert!(domains.iter().all(|domain| domain.pool.max_lifetime == Duration::from_secs(60)));
    let unused = config.domain_warnings([&oms, &uom]);
    assert!(unused.to_string().contains("did you mean `uom_db`?"), "{unused}");
    assert_eq!(unused.counts(), (0, 1));
}

#[test]
fn the_obsolete_bound_of_waiting_queries_is_accepted_with_a_warning() {
    let config =
        load("domains:\n  defaults: {pool: {max_waiting: 5}}\n  oms_db: {pool: {max_waiting: 0}}\n", env(&[])).unwrap();
    let warnings = config.domain_warnings([&domain("oms_db")]);
    assert_eq!(warnings.counts(), (0, 2));
    assert!(warnings.to_string().contains("`pool.max_waiting` has no effect"), "{warnings}");
    assert!(warnings.to_string().contains("acquire_ms"), "{warnings}");
}

#[test]
fn references_are_followed_and_variables_of_the_process_are_verbatim() {
    let process = [("AWS_SECRET", "a${b}$$"), ("A_DB_PASSWORD", "${B_DB_PASSWORD}"), ("B_DB_PASSWORD", "x$${y}")];
    let dotenv = "OMS_DB_PASSWORD=\"<${LINK}>\"\nLINK=${AWS_SECRET}\nUOM_DB_PASSWORD='${AWS_SECRET}'\n";
    let (environment, errors) = env_with_dotenv(&process, dotenv);
    assert!(errors.is_empty());
    let config = load("", environment).unwrap();
    for (name, password) in [("oms_db", "<a${b}$$>"), ("uom_db", "${AWS_SECRET}"), ("a_db", "x${y}"), ("b_db", "x${y}")]
    {
        let domain = config.domain(&domain(name), None).unwrap();
        assert_eq!(given(&domain.connection.password), Some(password), "{name}");
    }
}

#[test]
fn a_variable_of_the_process_replaces_dotenv_and_an_empty_one_unsets_it() {
    let dotenv = "OMS_DB_HOST=file\nOMS_DB_USER=file\nOMS_DB_PASSWORD=file\n";
    let (environment, _) = env_with_dotenv(&[("OMS_DB_HOST", "process"), ("OMS_DB_PASSWORD", "")], dotenv);
    let oms = load("", environment).unwrap().domain(&domain("oms_db"), None).unwrap();
    assert_eq!(hosts(&oms.connection), [("process", 5432)]);
    assert_eq!(oms.connection.user, "file");
    assert!(matches!(oms.connection.password, Password::None));
}

#[test]
fn a_domain_that_nothing_configures_never_becomes_another() {
    let config = from_env(&[
        ("DB_HOST", "fallback"),
        ("OMS_DB_HOST", "a"),
        ("SALES_URL", "postgres://h/d"),
        ("STORE_HOST", "h"),
        ("STORE_NAME", "d"),
        ("SMTP_HOST", "mail"),
        ("SMTP_PORT", "25"),
        ("HOME_URL", "https://example.org"),
        ("EMPTY_DB_HOST", ""),
    ]);
    let names: Vec<String> = config.configured_domains().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["default", "oms_db", "sales", "store"]);
    let graph = Source::new("graph.yaml", "nodes:\n  history:\n    database: omz_db\n");
    let at = graph.text().find("omz_db").unwrap();
    let used_at = graph.span(at..at + 6);
    let mut text = String::new();
    for name in ["omz_db", "empty_db", "product"] {
        let used_at = (name == "omz_db").then_some(&used_at);
        writeln!(text, "{}\n", plain(&config.domain(&domain(name), used_at).unwrap_err())).unwrap();
    }
    let nothing = Config::default().domain(&domain(DEFAULT_DOMAIN), None).unwrap_err();
    writeln!(text, "{}", plain(&nothing)).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn faulty_variables_of_a_domain_are_refused_at_once_and_show_no_secret() {
    let missing = ("OMS_DB_PASSWORD_FILE", "/no/such/hunter2");
    let cases: &[&[(&str, &str)]] = &[
        &[("OMS_DB_PORT", "54x2"), ("OMS_DB_HSOT", SECRET), ("OMS_DB_COLOUR", SECRET), missing],
        &[("OMS_DB_PASSWORD", SECRET), missing, ("OMS_DB_CONNECT_TIMEOUT", "soon")],
        &[("OMS_DB_PASSWORD", "${NO_SUCH}"), ("OMS_DB_USER", "${OMS_DB_USER}"), ("OMS_DB_NAME", "${")],
        &[("OMS_DB_HOST", "server?sslmode=require")],
        &[("OMS_DB_HOST", "server:5432")],
        &[("OMS_DB_HOST", "a,b"), ("OMS_DB_PORT", "1,2,3"), ("OMS_DB_SSLMODE", "verify-full")],
        &[("OMS_DB_PORT", "tcp://10.0.0.1:5432"), ("OMS_DB_PORT_5432_TCP_ADDR", "10.0.0.1")],
        &[("OMS_DB_URL", "postgres://u:hunter2@h/d"), ("OMS_DB_HOST", "h"), ("OMS_DB_PASSWORD", SECRET)],
        &[("OMS_DB_URL", "postgres://u:hunter2@h:port/d?sslmode=require&colour=hunter2&application_nam=x")],
        &[("OMS_DB_URL", "${NO_SUCH}")],
        &[("OMS_DB_URL", "hunter2")],
        &[("OMS_DB_URL", "postgres://u:hun/ter2@h/d")],
        &[("OMS_DB_URL_FILE", "/no/such/hunter2")],
        &[("OMS_DB_URL_FILE", "/no/such/hunter2"), ("OMS_DB_URL", "postgres://u:hunter2@h/d")],
        &[("OMS_DB_URL", "postgres://h/d?sslmode=require"), ("OMS_DB_SSLMODE", "prefer")],
        &[("OMS_DB_URL", "postgres://h/d?sslmode=verify-full"), ("OMS_DB_SSLROOTCERT", "/no/such/hunter2")],
        &[("OMS_DB_CHANNEL_BINDING", SECRET), ("OMS_DB_TARGET_SESSION_ATTRS", SECRET)],
        &[("OMS_DB_CHANNEL_BINDING", "require"), ("OMS_DB_SSLMODE", "disable")],
        &[("OMS_DB_WRITE_PASSWORD", SECRET)],
        &[("OMS_DB_WRITE_PASSWORD_FILE", "/no/such/hunter2"), ("OMS_DB_URL", "postgres://h/d")],
        &[("OMS_DB_WRITE_PASSWORD", SECRET), ("OMS_DB_WRITE_PASSWORD_FILE", "/x"), ("OMS_DB_WRITE_USER", "w")],
        &[("OMS_DB_WRITE_USER", "${NO_SUCH}"), ("OMS_DB_WRITE_USR", "w")],
    ];
    let mut text = String::new();
    for pairs in cases {
        let refused = read_domain(pairs, "oms_db").unwrap_err();
        let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        writeln!(text, "## {}\n{}\n", names.join(", "), plain(&refused)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_faulty_line_of_dotenv_is_pointed_at() {
    let dotenv = "OMS_DB_HOST=localhost\nOMS_DB_PORT=54x2\nOMS_DB_PASSWORD=${NO_SUCH}hunter2\nOMS_DB_PASWORD=hunter2\n\
                  A=${B}\nB=${C}\nC=${A}\nOMS_DB_USER=${A}\n";
    let (environment, errors) = env_with_dotenv(&[], dotenv);
    assert!(errors.is_empty());
    let refused = load("", environment).unwrap().domain(&domain("oms_db"), None).unwrap_err();
    insta::assert_snapshot!(plain(&refused));
}

#[test]
fn the_errors_of_several_domains_come_together() {
    let config = from_env(&[("OMS_DB_PORT", "x"), ("UOM_DB_PORT", "y"), ("OK_DB_PORT", "1")]);
    let names = ["oms_db", "ok_db", "uom_db", "no_db"].map(domain);
    let refused = config.domains(names.iter().map(|name| (name, None))).unwrap_err();
    assert_eq!(refused.counts(), (3, 0));
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let pairs = [
        ("OMS_DB_HOST", "h"),
        ("OMS_DB_SERVICE_HOST", "10.0.0.1"),
        ("OMS_DB_PORT_5432_TCP_ADDR", "10.0.0.1"),
        ("OMS_DB_ARCHIVE_DB_HOST", "other"),
        ("APP_HOST", "h"),
        ("APP_VERSION", "1.2"),
        ("HOST_HOST", "h"),
        ("PASSWORD_HOST", "h"),
        ("PASSWORD_PASSWORD_FILE", "/no/such/file"),
    ];
    for name in ["oms_db", "app", "host"] {
        assert_eq!(hosts(&read_domain(&pairs, name).unwrap().connection), [("h", 5432)], "{name}");
    }
    // `envy::prefixed` would cut `PASSWORD_` off twice and miss the setting.
    assert!(read_domain(&pairs, "password").is_err());
}

#[test]
fn urls_are_read_as_libpq_reads_them() {
    type Case<'a> = (&'a str, &'a [(&'a str, u16)], &'a str, Option<&'a str>, &'a str, bool);
    let cases: &[Case<'_>] = &[
        ("postgres://", &[("localhost", 5432)], "postgres", None, "postgres", false),
        ("postgresql://h", &[("h", 5432)], "postgres", None, "postgres", false),
        ("postgres://u@h/d", &[("h", 5432)], "u", None, "d", false),
        ("postgres://u:p@h:1/d", &[("h", 1)], "u", Some("p"), "d", true),
        ("postgres://u:%40%2f%25%C3%A9@h/d%20e", &[("h", 5432)], "u", Some("@/%é"), "d e", true),
        ("postgres://u:p:q@@h/d", &[("h", 5432)], "u", Some("p:q@"), "d", true),
        ("postgres://${U}:${P}@h:${PORT}/d", &[("h", 99)], "me", Some("a@b/c?d#e%41"), "d", false),
        ("postgres://u:x${P}@h/d", &[("h", 5432)], "u", Some("xa@b/c?d#e%41"), "d", true),
        ("postgres://u:$${P}@h/d", &[("h", 5432)], "u", Some("${P}"), "d", true),
        ("postgres://a:1,b,[::1]:3/d", &[("a", 1), ("b", 5432), ("::1", 3)], "postgres", None, "d", false),
        ("postgres://[fe80::1]/d", &[("fe80::1", 5432)], "postgres", None, "d", false),
        ("postgres://%2Fvar%2Frun/d", &[("/var/run", 5432)], "postgres", None, "d", false),
        ("postgres:///d?host=/tmp,h&port=1,2&user=u&password=p", &[("/tmp", 1), ("h", 2)], "u", Some("p"), "d", true),
        ("postgres://h?dbname=d&port=7&sslmode=disable", &[("h", 7)], "postgres", None, "d", false),
        ("postgres://u:@h/", &[("h", 5432)], "u", None, "u", false),
    ];
    let variables = env(&[("P", "a@b/c?d#e%41"), ("U", "me"), ("PORT", "99"), ("OPT", "x")]);
    for (url, expected_hosts, user, password, database, literal) in cases {
        let read = Connection::from_url(url, &variables).unwrap_or_else(|errors| panic!("{url}: {errors:?}"));
        assert_eq!(hosts(&read.connection), *expected_hosts, "{url}");
        assert_eq!(read.connection.user, *user, "{url}");
        assert_eq!(given(&read.connection.password), *password, "{url}");
        assert_eq!(read.connection.database, *database, "{url}");
        assert_eq!(read.literal_password, *literal, "{url}");
    }
    let url = "postgres://h/d?application_name=a%20b&connect_timeout=4&options=-c%20x%3D${OPT}";
    let read = Connection::from_url(url, &variables).unwrap();
    assert_eq!((&*read.connection.application_name, &*read.connection.options), ("a b", "-c x=x"));
    assert_eq!(read.connect_timeout, Some(Duration::from_secs(4)));
    assert!(read.names_database);
}

#[test]
fn faulty_urls_are_refused_without_repeating_them() {
    let mut text = String::new();
    for url in [
        "mysql://u:hunter2@h/d",
        "host=h password=hunter2",
        "postgres://u:hunter2%@h/d",
        "postgres://u:%ffhunter2@h/d",
        "postgres://u:hunter2%00@h/d",
        "postgres://u:a/hunter2@h/d",
        "postgres://u:a?hunter2@h/d",
        "postgres://u:a#hunter2@h/d",
        "postgres://u:hunter2@h:0/d",
        "postgres://u:hunter2@h:hunter2/d",
        "postgres://u:hunter2@a,b:1/d?port=1,2,3",
        "postgres://u:hunter2@h:1/d?port=2",
        "postgres://u:hunter2@h/d?password=hunter2",
        "postgres://h/d?host=x&dbname=y&user=a&user=b",
        "postgres://h h/d",
        "postgres://h/d?sslmode=verify-full",
        "postgres://h/d?sslmode=allow&sslcert=/nowhere/hunter2",
        "postgres://h/d?sslmode=hunter2",
        "postgres://h/d?connect_timeout=hunter2",
        "postgres://h/d?aplication_name=x&target_session_attrs=hunter2&Hunter2=hunter2",
        "postgres://u:${NO_SUCH}@h/d",
        "postgres://u:${@h/d",
    ] {
        let errors = Connection::from_url(url, &Env::default()).expect_err(url);
        writeln!(text, "{}", url.replace(SECRET, "(secret)")).unwrap();
        for error in errors {
            let help = error.help().map(|help| format!("\n    help: {help}")).unwrap_or_default();
            writeln!(text, "  {error}{help}").unwrap();
        }
    }
    assert!(!text.contains(SECRET), "{text}");
    insta::assert_snapshot!(text);
}

proptest! {
    /// Whatever surrounds a password, no error repeats it.
    #[test]
    fn no_error_of_a_url_repeats_its_password(
        before in "[a-z:/?#@%&=$\\[\\],. é{}]{0,8}",
        after in "[a-z:/?#%&=$\\[\\],. é{}]{0,8}",
        rest in "[a-z0-9:/?#%&=,._\\[\\]@]{0,20}",
    ) {
        let url = format!("postgres://u:{before}{SECRET}{after}@{rest}");
        if let Err(errors) = Connection::from_url(&url, &Env::default()) {
            for error in errors {
                let text = format!("{error} {error:?} {:?}", error.help());
                prop_assert!(!text.contains(SECRET), "{url}: {text}");
            }
        }
    }
}

#[test]
fn no_debug_shows_a_planted_secret() {
    let url = format!("postgres://u:{SECRET}@h/d?application_name=x");
    let (environment, errors) = env_with_dotenv(
        &[("OMS_DB_PASSWORD", SECRET), ("UOM_DB_URL", &url), ("ADMIN_TOKEN", SECRET)],
        &format!("DB_PASSWORD={SECRET}\nX={SECRET}\n"),
    );
    let config = load("", environment.clone()).unwrap();
    let domains: Vec<DomainConfig> =
        ["oms_db", "uom_db", DEFAULT_DOMAIN].iter().map(|name| config.domain(&domain(name), None).unwrap()).collect();
    assert_eq!(domains.iter().filter(|domain| given(&domain.connection.password) == Some(SECRET)).count(), 3);
    let inline = Connection::from_url(&url, &environment).unwrap();
    let inlined = config.inline_domain(domain("inline"), inline.clone());
    let shown = format!("{environment:?}{errors:?}{config:?}{domains:?}{inline:?}{inlined:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}
