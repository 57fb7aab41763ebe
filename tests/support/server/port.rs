//! A TCP port of its own for each server, kept even while that server is down.
//!
//! Ports are taken below 32768, where no system hands out ports to outgoing connections, so none can slip into the gap
//! while a server restarts, and below the ports of `tributary demo`. Test processes claim a port by binding the UDP port
//! of the same number, which PostgreSQL does not use; the claim ends with its process, however that ends.

use std::net::{TcpListener, UdpSocket};

use rand::Rng;
use tributary::demo::HOST;

const FIRST: u16 = 15_000;
const LAST: u16 = 25_000;

/// A port that no other server of the tests will take.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// Any free one.
    pub fn any() -> Self {
        let start = rand::rng().random_range(FIRST..=LAST);
        (start..=LAST).chain(FIRST..start).find_map(Self::exactly).expect("a free port")
    }

    /// This one, unless it is taken.
    pub fn exactly(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((HOST, number)).ok()?;
        let free = TcpListener::bind((HOST, number)).is_ok();
        free.then_some(Self { number, _claim: claim })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
