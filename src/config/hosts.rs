//! Lists of hosts and ports: `a,b` with one port for all or one for each. A host is a name, an address, or a directory
//! of Unix sockets.

/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;
/// The host where none is given.
const DEFAULT_HOST: &str = "localhost";

/// Why hosts or ports are refused. No message repeats them: a malformed URL may have a password in their place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// A port is not a number from 1 to 65,535.
    #[error("the port must be a whole number from 1 to 65,535")]
    Port,
    /// There are several ports, and not one for each host.
    #[error("there are {ports} ports for {hosts} hosts; give one, or one for each host")]
    Count {
        /// How many hosts.
        hosts: usize,
        /// How many ports.
        ports: usize,
    },
    /// A host has a character that is not allowed.
    #[error("the host is a name, an address or the path of a directory; it may not have {found:?} in it")]
    Character {
        /// The character.
        found: char,
    },
    /// A port is given with the host and as a parameter.
    #[error("the port is given twice")]
    Twice,
}

/// From `a,b` and `1,2`.
pub(super) fn lists(hosts: &str, ports: Option<&str>) -> Result<Vec<(String, u16)>, HostError> {
    with_ports(hosts.split(',').map(|host| (host.trim().to_owned(), None)).collect(), ports)
}

/// From hosts that may have a port of their own, and a separate list of ports.
pub(super) fn with_ports(
    hosts: Vec<(String, Option<String>)>,
    ports: Option<&str>,
) -> Result<Vec<(String, u16)>, HostError> {
    let listed: Vec<u16> =
        ports.map(|ports| ports.split(',').map(port).collect::<Result<_, _>>()).transpose()?.unwrap_or_default();
    if listed.len() > 1 && listed.len() != hosts.len() {
        return Err(HostError::Count { hosts: hosts.len(), ports: listed.len() });
    }
    let pair = |(at, (name, own)): (usize, (String, Option<String>))| {
        let beside = listed.get(at).or(listed.first()).copied();
        let port = match (own, beside) {
            (Some(_), Some(_)) => return Err(HostError::Twice),
            (Some(own), None) => port(&own)?,
            (None, beside) => beside.unwrap_or(DEFAULT_PORT),
        };
        Ok((host(name)?, port))
    };
    hosts.into_iter().enumerate().map(pair).collect()
}

fn port(text: &str) -> Result<u16, HostError> {
    let is_number = text.trim().bytes().all(|byte| byte.is_ascii_digit());
    text.trim().parse().ok().filter(|port| is_number && *port > 0).ok_or(HostError::Port)
}

fn host(name: String) -> Result<String, HostError> {
    if name.is_empty() {
        return Ok(DEFAULT_HOST.to_owned());
    }
    let is_path = name.starts_with('/');
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    let stray = |c: &char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | '/' | ':' | '[' | ']');
    match name.chars().find(stray) {
        Some(found) if !is_path && !is_address => Err(HostError::Character { found }),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_pair_with_one_port_or_with_one_each() {
        let pairs = |pairs: &[(&str, u16)]| {
            Ok(pairs.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>())
        };
        for (hosts, ports, expected) in [
            ("a", None, pairs(&[("a", 5432)])),
            ("", None, pairs(&[("localhost", 5432)])),
            ("a, b", Some("6000"), pairs(&[("a", 6000), ("b", 6000)])),
            ("a,b", Some("1,2"), pairs(&[("a", 1), ("b", 2)])),
            ("/var/run/postgresql", Some("5433"), pairs(&[("/var/run/postgresql", 5433)])),
            ("::1", None, pairs(&[("::1", 5432)])),
            ("a,b", Some("1,2,3"), Err(HostError::Count { hosts: 2, ports: 3 })),
            ("a", Some("0"), Err(HostError::Port)),
            ("a", Some("+1"), Err(HostError::Port)),
            ("a", Some("65536"), Err(HostError::Port)),
            ("a", Some("54x2"), Err(HostError::Port)),
            ("a b", None, Err(HostError::Character { found: ' ' })),
            ("a:5432", None, Err(HostError::Character { found: ':' })),
            ("a?sslmode=require", None, Err(HostError::Character { found: '?' })),
        ] {
            assert_eq!(lists(hosts, ports), expected, "{hosts} {ports:?}");
        }
    }
}
