//! The export of traces: the variables of OpenTelemetry (`OTEL_*`), as its specification defines them.
//!
//! Traces are off unless there is an endpoint, or `OTEL_TRACES_EXPORTER=otlp` selects the default one. Features that this
//! service does not have (gRPC, compression) are errors. The SDK does not read these variables itself: it sees only those of
//! the process, not those of `.env`, and ignores values that it cannot read.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::env::Env;
use super::secret;
use crate::diagnostics::Diagnostics;

/// The default endpoint: a collector on this machine.
const USUAL_ENDPOINT: &str = "http://localhost:4318";
/// The path that OTLP over HTTP adds to an endpoint for all signals.
const PATH: &str = "v1/traces";

/// Which traces are exported, and where to. Its `Debug` shows no header.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The URL that spans are posted to, without credentials.
    pub endpoint: String,
    /// Headers of each such request, percent-encoded, such as the token of a collector.
    pub headers: Vec<(String, SecretString)>,
    /// How long such a request may take. Default 10 s.
    pub timeout: Duration,
    /// Which requests are sampled, where the client has not decided. Default: all.
    pub share: Share,
    /// Whether the `traceparent` of a request decides whether it is sampled. Default: yes.
    pub parent_based: bool,
    /// The name of the service. Default `tributary`.
    pub service_name: String,
    /// Other attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// How spans are collected before they are sent.
    pub batch: SpanBatches,
}

/// The share of requests that are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// Every one.
    All,
    /// None.
    None,
    /// This part, from 0 to 1.
    Ratio(f64),
}

/// How spans are collected before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanBatches {
    /// Spans that may wait; more are dropped. Default 2,048.
    pub queue: usize,
    /// Spans that are sent at once. Default 512.
    pub size: usize,
    /// How long they wait for others. Default 5 s.
    pub delay: Duration,
}

/// Variables that are not supported, each with its remedy.
const REFUSED: [(&str, &str); 8] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "name the file of certificates in SSL_CERT_FILE instead"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "name the file of certificates in SSL_CERT_FILE instead"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "send to a collector beside the service, and have that send them on"),
    (
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "send to a collector beside the service, and have that send them on",
    ),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "send to a collector beside the service, and have that send them on"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "send to a collector beside the service, and have that send them on"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "unset it, or set it to none"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "unset it, or set it to none"),
];

/// Reads the variables; `None` where traces are off.
pub(super) fn read(env: &Env, errors: &mut Diagnostics) -> Option<TracesConfig> {
    let mut reading = Reading { env, errors };
    let is_true = |text: &str| text.eq_ignore_ascii_case("true");
    if reading.value("OTEL_SDK_DISABLED").is_some_and(|(_, text)| is_true(&text)) {
        return None;
    }
    let asked = match reading.value("OTEL_TRACES_EXPORTER") {
        None => false,
        Some((_, text)) if text == "none" => return None,
        Some((_, text)) if text == "otlp" => true,
        Some((name, _)) => {
            reading.report(name, "this must be `otlp` or `none`", "unset it: an endpoint is enough");
            return None;
        }
    };
    let endpoint = reading.endpoint(asked)?;
    reading.refuse();
    let (share, parent_based) = reading.sampler();
    let mut resource = reading.resource();
    let named = resource.iter().position(|(key, _)| key == "service.name").map(|index| resource.remove(index).1);
    let service_name = reading.value("OTEL_SERVICE_NAME").map(|(_, text)| text).or(named);
    Some(TracesConfig {
        endpoint,
        headers: reading.headers(),
        timeout: reading.milliseconds(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"], 10_000),
        share,
        parent_based,
        service_name: service_name.unwrap_or_else(|| "tributary".to_owned()),
        resource,
        batch: SpanBatches {
            queue: reading.count("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
            size: reading.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
            delay: reading.milliseconds(&["OTEL_BSP_SCHEDULE_DELAY"], 5000),
        },
    })
}

struct Reading<'a> {
    env: &'a Env,
    errors: &'a mut Diagnostics,
}

impl Reading<'_> {
    fn value(&mut self, name: &'static str) -> Option<(&'static str, String)> {
        match self.env.value(name) {
            Ok(value) => value.map(|value| (name, value.trim().to_owned())),
            Err(refused) => {
                self.errors.extend(refused);
                None
            }
        }
    }

    /// The first of these that is set.
    fn first(&mut self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| self.value(name))
    }

    fn report(&mut self, name: &str, message: &str, help: &str) {
        self.errors.push(self.env.error(name, "invalid-value", message).help(help));
    }

    fn endpoint(&mut self, asked: bool) -> Option<String> {
        let own = self.value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let general = self.value("OTEL_EXPORTER_OTLP_ENDPOINT");
        let (name, endpoint) = match (own, general) {
            (Some((name, url)), _) => (name, url),
            (None, Some((name, url))) => (name, format!("{}/{PATH}", url.trim_end_matches('/'))),
            (None, None) if asked => ("OTEL_TRACES_EXPORTER", format!("{USUAL_ENDPOINT}/{PATH}")),
            (None, None) => return None,
        };
        let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
        let help = "write it as http://localhost:4318";
        match host {
            None | Some("") => self.report(name, "this must be a URL of http or https with a host", help),
            Some(_) if endpoint.contains(['?', '#']) => {
                self.report(name, "this must be a URL without a query and fragment", help);
            }
            Some(host) if host.contains('@') => {
                let help = "put them into OTEL_EXPORTER_OTLP_HEADERS or OTEL_EXPORTER_OTLP_HEADERS_FILE";
                self.report(name, "this URL must not have credentials", help);
            }
            Some(_) => {}
        }
        Some(endpoint)
    }

    fn refuse(&mut self) {
        if let Some((name, protocol)) =
            self.first(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"])
            && protocol != "http/protobuf"
        {
            let help = "send to the collector's port for HTTP, usually 4318";
            self.report(name, "this service sends traces only by `http/protobuf`", help);
        }
        for (name, help) in REFUSED {
            if let Some((name, text)) = self.value(name)
                && text != "none"
            {
                self.report(name, "this service does not support this variable", help);
            }
        }
    }

    fn sampler(&mut self) -> (Share, bool) {
        let Some((name, sampler)) = self.value("OTEL_TRACES_SAMPLER") else { return (Share::All, true) };
        let (parent_based, own) = match sampler.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (false, sampler.as_str()),
        };
        let share = match own {
            "always_on" => Share::All,
            "always_off" => Share::None,
            "traceidratio" => Share::Ratio(self.ratio()),
            _ => {
                let help = "write it as parentbased_traceidratio, with OTEL_TRACES_SAMPLER_ARG=0.01";
                let message =
                    "this must be `always_on`, `always_off` or `traceidratio`, or one of them after `parentbased_`";
                self.report(name, message, help);
                Share::All
            }
        };
        (share, parent_based)
    }

    fn ratio(&mut self) -> f64 {
        let Some((name, text)) = self.value("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.report(name, "this must be a number from 0 to 1", "write one request in a hundred as 0.01");
                1.0
            }
        }
    }

    /// `key=value,key=value`; `None` where a part is not a pair.
    fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            let (key, value) = (key.trim(), value.trim());
            (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
        };
        pairs.map(pair).collect()
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        let Some((name, text)) = self.value("OTEL_RESOURCE_ATTRIBUTES") else { return Vec::new() };
        let decoded = |text: String| percent_decode_str(&text).decode_utf8().map(|text| text.into_owned()).ok();
        let pairs = Self::pairs(&text);
        let pairs: Option<Vec<_>> =
            pairs.and_then(|pairs| pairs.into_iter().map(|(key, value)| Some((key, decoded(value)?))).collect());
        pairs.unwrap_or_else(|| {
            let help = "write it as deployment.environment.name=production,service.namespace=purchasing";
            self.report(name, "this must be pairs of a key and a percent-encoded value", help);
            Vec::new()
        })
    }

    fn headers(&mut self) -> Vec<(String, SecretString)> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
        let mut secret = |name| secret::read(self.env, name, |name| self.env.value(name), self.errors);
        let Some(given) = names.into_iter().find_map(&mut secret) else { return Vec::new() };
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        match Self::pairs(given.text.expose_secret()).filter(|pairs| pairs.iter().all(|(name, _)| is_name(name))) {
            Some(pairs) => pairs.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect(),
            None => {
                let help = "write them as api-key=...,tenant=...";
                self.report(&given.variable, "this must be pairs of a header and its percent-encoded value", help);
                Vec::new()
            }
        }
    }

    fn milliseconds(&mut self, names: &[&'static str], usual: u32) -> Duration {
        let given = self.first(names);
        Duration::from_millis(self.number(given, usual).into())
    }

    fn count(&mut self, name: &'static str, usual: u32) -> usize {
        let given = self.value(name);
        usize::try_from(self.number(given, usual)).unwrap_or(usize::MAX)
    }

    fn number(&mut self, given: Option<(&'static str, String)>, usual: u32) -> u32 {
        let Some((name, text)) = given else { return usual };
        match text.parse() {
            Ok(number) if (1..=3_600_000).contains(&number) => number,
            _ => {
                self.report(name, "this must be a whole number from 1 to 3,600,000", &format!("unset it for {usual}"));
                usual
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> (Option<TracesConfig>, Diagnostics) {
        let mut errors = Diagnostics::new();
        let env = Env::from_pairs(pairs.iter().map(|(name, value)| (*name, *value)));
        (read(&env, &mut errors), errors)
    }

    #[test]
    fn traces_are_off_by_default() {
        for pairs in [
            &[][..],
            &[("OTEL_SERVICE_NAME", "x"), ("OTEL_TRACES_SAMPLER", "always_on")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            let (config, errors) = read_pairs(pairs);
            assert!(config.is_none() && errors.is_empty(), "{pairs:?}: {config:?} {errors}");
        }
    }

    #[test]
    fn variables_have_the_meaning_of_the_specification() {
        let endpoint = |pairs: &[(&str, &str)]| read_pairs(pairs).0.expect("traces").endpoint;
        assert_eq!(endpoint(&[("OTEL_TRACES_EXPORTER", "otlp")]), "http://localhost:4318/v1/traces");
        assert_eq!(endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp/")]), "https://c/otlp/v1/traces");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own:1/x");
        assert_eq!(endpoint(&[own, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")]), "http://own:1/x");
        let (config, errors) = read_pairs(&[
            own,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=planted%20key, tenant=a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=buy%2Csell"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "700"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ]);
        let config = config.unwrap_or_else(|| panic!("{errors}"));
        assert!(errors.is_empty(), "{errors}");
        assert_eq!((config.share, config.parent_based), (Share::Ratio(0.25), true));
        assert_eq!((config.timeout.as_millis(), config.batch.delay.as_millis()), (700, 50));
        assert_eq!(config.service_name, "other");
        assert_eq!(config.resource, [("team".to_owned(), "buy,sell".to_owned())]);
        let headers: Vec<_> =
            config.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "planted%20key"), ("tenant", "a")]);
        assert!(!format!("{config:?}").contains("planted"), "no header shows");
    }

    #[test]
    fn unsupported_values_are_refused_without_repeating_them() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "planted"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "planted:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:planted@c"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/?key=planted"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "planted"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a planted=b"),
            ("OTEL_TRACES_SAMPLER", "planted"),
            ("OTEL_RESOURCE_ATTRIBUTES", "planted"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "planted"),
        ] {
            let (_, errors) = read_pairs(&[endpoint, (name, value)]);
            let said = errors.to_string();
            assert_eq!(errors.counts().0, 1, "{name}={value}: {said}");
            assert!(said.contains(name) && !said.contains("planted"), "{said}");
        }
        let (_, errors) =
            read_pairs(&[endpoint, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")]);
        assert_eq!(errors.counts().0, 1);
    }
}
