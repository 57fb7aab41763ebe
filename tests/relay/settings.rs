//! What is wrong with the settings of the relay, with its place and its remedy.

use crate::fixture::{directory, environment};
use crate::support::run;

/// The output of a relay that does not start.
fn refused(section: &str, variables: &[(&str, &str)]) -> String {
    let directory = directory(section);
    let mut environment = environment("postgres://postgres@127.0.0.1:1/oms");
    environment.retain(|(name, _)| !variables.iter().any(|(other, _)| other == name));
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let (code, output, errors) = run(directory.path(), &environment, &["relay"]);
    assert_eq!((code, output.as_str()), (1, ""), "{errors}");
    errors
}

#[test]
fn faulty_settings_are_refused_with_their_place_and_remedy_and_show_no_secret() {
    let cases: [(&str, &[(&str, &str)]); 14] = [
        ("to: off", &[]),
        ("to: webhook", &[]),
        ("to: webhook, url: 'https://user:planted@hook/'", &[]),
        ("to: webhook, url: 'https://hook/?key=planted'", &[]),
        ("to: webhook, url: 'http://hook/'", &[("RELAY_TOKEN", "planted")]),
        ("to: webhook", &[("TRIBUTARY_RELAY_URL", "ftp://planted")]),
        ("to: webhook, url: 'https://hook/'", &[("RELAY_SSLROOTCERT", "/nowhere/root.crt")]),
        ("to: nats, url: 'http://nats'", &[]),
        ("to: nats, url: 'nats://planted@nats'", &[]),
        ("to: nats, url: 'nats://127.0.0.1, nats://nats'", &[("RELAY_TOKEN", "planted")]),
        ("to: nats, url: 'tls://nats', subject: 'events.{id}'", &[]),
        ("to: nats, url: 'tls://nats'", &[("RELAY_USER", "relay"), ("RELAY_TOKEN", "planted")]),
        ("to: nats, url: 'tls://nats'", &[("RELAY_SSLROOTCERT", "/nowhere/root.crt")]),
        ("to: nats, url: 'tls://nats'", &[("OMS_DB_WRITE_USER", "")]),
    ];
    let mut text = String::new();
    for (section, variables) in cases {
        let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
        let errors = refused(section, variables);
        assert!(!errors.contains("planted"), "{errors}");
        let case = format!("--- relay: {{ {} }} {}", section.replace("planted", "..."), names.join(" "));
        text += &format!("{}\n{errors}\n", case.trim_end());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_flow_without_events_is_refused() {
    let directory = directory("to: webhook, url: 'https://hook/'");
    let graph = std::fs::read_to_string(directory.path().join("graph.yaml")).expect("the flow");
    let without: Vec<&str> = graph.lines().filter(|line| !line.contains("event:")).collect();
    std::fs::write(directory.path().join("graph.yaml"), without.join("\n")).expect("written");
    let (code, _, errors) = run(directory.path(), &environment("postgres://postgres@127.0.0.1:1/oms"), &["relay"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("no effect of the flows has an event"), "{errors}");
}
