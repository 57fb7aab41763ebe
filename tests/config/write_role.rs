//! The role that writes effects, and their settings.

use tempfile::TempDir;
use tributary::config::{Config, DEFAULT_DOMAIN, Env, Password, SessionAccess, SessionAttrs};

use super::{SECRET, domain, env, given, hosts, load, plain, read_domain};

#[test]
fn a_domain_is_written_by_a_role_of_its_own_on_the_primary() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, SECRET).unwrap();
    let url = "postgres://reader:r@a,b/oms?target_session_attrs=prefer-standby";
    let config = load(
        "domains: {oms_db: {pool: {write_max: 3}, max_staleness_ms: 500}}",
        env(&[
            ("OMS_DB_URL", url),
            ("OMS_DB_WRITE_USER", "${ROLE}"),
            ("ROLE", "writer"),
            ("OMS_DB_WRITE_PASSWORD", SECRET),
            ("DB_WRITE_USER", "writer"),
            ("DB_WRITE_PASSWORD_FILE", file.to_str().unwrap()),
            ("UOM_DB_USER", "reader"),
            ("SUPPLIER_DB_URL", "https://supplier.internal/"),
            ("SUPPLIER_DB_WRITE_USER", "writer"),
        ]),
    );
    let config = config.unwrap();
    let names: Vec<String> = config.configured_domains().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["default", "oms_db", "supplier_db", "uom_db"]);

    let oms = config.domain(&domain("oms_db"), None).unwrap();
    assert_eq!((&*oms.connection.user, oms.access), ("reader", SessionAccess::ReadOnly));
    let writes = oms.for_writes().unwrap();
    assert_eq!((&*writes.connection.user, given(&writes.connection.password)), ("writer", Some(SECRET)));
    assert_eq!(hosts(&writes.connection), hosts(&oms.connection));
    assert_eq!((&*writes.connection.database, writes.access), ("oms", SessionAccess::ReadWrite));
    assert_eq!(writes.connection.session_attrs, SessionAttrs::Primary);
    // One of the connections belongs to the probe.
    assert_eq!((writes.pool.min, writes.pool.max, writes.max_staleness), (0, 4, None));
    assert_eq!(writes.password_setting(), "OMS_DB_WRITE_PASSWORD");
    assert!(writes.for_writes().is_none());
    assert!(!format!("{oms:?}{writes:?}").contains(SECRET));

    let default = config.domain(&domain(DEFAULT_DOMAIN), None).unwrap().for_writes().unwrap();
    assert!(matches!(&default.connection.password, Password::File(path) if *path == file));
    assert_eq!((default.pool.max, default.password_setting().as_str()), (11, "DB_WRITE_PASSWORD_FILE"));
    for name in ["uom_db", "supplier_db"] {
        assert!(config.domain(&domain(name), None).unwrap().write.is_none(), "{name}");
    }
}

#[test]
fn another_write_role_makes_another_domain() {
    let with = |pairs: &[(&str, &str)]| {
        let all: Vec<_> = [("OMS_DB_HOST", "a")].into_iter().chain(pairs.iter().copied()).collect();
        read_domain(&all, "oms_db").unwrap()
    };
    let (user, password) = (("OMS_DB_WRITE_USER", "w"), ("OMS_DB_WRITE_PASSWORD", "p"));
    let domains = [with(&[]), with(&[user]), with(&[user, password]), with(&[("OMS_DB_WRITE_USER", "v"), password])];
    for (one, a) in domains.iter().enumerate() {
        for (other, b) in domains.iter().enumerate() {
            assert_eq!(a.is_same(b), one == other, "{one} and {other}");
        }
        assert!(a.for_writes().is_none_or(|writes| !writes.is_same(a)), "{one}");
    }
}

#[test]
fn effects_are_refused_behind_a_pooler_in_transaction_mode() {
    let file = "domains: {defaults: {pool: {statements: unprepared}}}";
    let config = load(file, env(&[("OMS_DB_WRITE_USER", "w"), ("UOM_DB_USER", "r")])).unwrap();
    assert!(config.domain(&domain("uom_db"), None).is_ok());
    insta::assert_snapshot!(plain(&config.domain(&domain("oms_db"), None).unwrap_err()), @r"
    error[shared-sessions]: environment variable OMS_DB_WRITE_USER: effects need sessions of their own, and `pool.statements` of the domain `oms_db` is `unprepared`
     |
     = help: connect the domain to the server itself, or to a pooler in session mode, and set `pool: { statements: prepared }`; or remove OMS_DB_WRITE_USER
    ");
}

#[test]
fn keys_of_effects_live_a_day_unless_another_time_is_set() {
    assert_eq!(Config::default().effects.key_lifetime_s, 86_400);
    let file = "effects: {key_lifetime_s: 7200}";
    assert_eq!(load(file, Env::default()).unwrap().effects.key_lifetime_s, 7_200);
    let variable = |value| load(file, env(&[("TRIBUTARY_EFFECTS_KEY_LIFETIME_S", value)]));
    assert_eq!(variable("3600").unwrap().effects.key_lifetime_s, 3_600);
    let refused = plain(&variable("3599").unwrap_err());
    assert!(refused.contains("this must be a whole number from 3,600 to 31,536,000"), "{refused}");
}
