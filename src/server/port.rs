//! A TCP port of its own for each server, kept even while that server is down.
//!
//! Ports are taken below 32768, where no system hands out ports to outgoing connections, so none can slip into the gap
//! while a server restarts. Among Tributary's own processes a port is claimed by binding the UDP port of the same
//! number, which PostgreSQL does not use; the claim ends with its process, however that ends.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use rand::Rng;

use super::ServerError;

const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// A port that no other server of ours will take.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// This port.
    pub(super) fn exactly(number: u16) -> Result<Self, ServerError> {
        Self::claim(number).ok_or(ServerError::PortInUse { port: number })
    }

    /// The first free one from `first` on, so that a demo finds the same port again.
    pub(super) fn from(first: u16) -> Result<Self, ServerError> {
        (first..=LAST).find_map(Self::claim).ok_or(ServerError::NoFreePort { first, last: LAST })
    }

    /// Any free one.
    ///
    /// # Errors
    /// [`ServerError::NoFreePort`].
    pub fn any() -> Result<Self, ServerError> {
        let start = rand::rng().random_range(FIRST..=LAST);
        (start..=LAST)
            .chain(FIRST..start)
            .find_map(Self::claim)
            .ok_or(ServerError::NoFreePort { first: FIRST, last: LAST })
    }

    fn claim(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        free.then_some(Self { number, _claim: claim })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_not_given_twice_and_is_free_again_afterwards() {
        let port = Port::any().expect("a port");
        let number = port.number();
        assert!((FIRST..=LAST).contains(&number));
        assert!(matches!(Port::exactly(number), Err(ServerError::PortInUse { .. })));
        assert!(Port::from(number).expect("the next one").number() > number);
        drop(port);
        assert_eq!(Port::exactly(number).expect("free again").number(), number);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let port = Port::any().expect("a port");
        let number = port.number();
        drop(port);
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).expect("the port is free");
        assert!(Port::exactly(number).is_err());
    }
}
