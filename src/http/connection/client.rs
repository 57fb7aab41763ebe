//! The clients of one worker: the phase of each connection, and which connection is closed where there are too many.
//!
//! A worker has a limit on its connections, and the last eighth is reserved for probes and the admin endpoints. Every connection
//! is accepted. Above the limit for ordinary ones, the worker evicts the client it has waited for longest: first those within a
//! message, then those that have sent nothing, then those between two requests. A connection whose request is being answered is
//! never evicted. An evicted client that has sent or taken something by the time its connection is looked at stays; one that has
//! only just connected has a moment to send something.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::framing::Phase;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// For the head of a request, TLS handshake included, and for the rest of a body that nobody reads.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// To take 16 KiB of an answer.
    pub portion: Duration,
}

/// How long a new client may be silent before it can be evicted.
const GRACE: Duration = Duration::from_millis(100);

/// What the service waits for, in the order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The rest of a head or a body, or that an answer is taken.
    Message,
    /// The first byte of a connection. A new client is not slower than one that has sent a part.
    Silent,
    /// The next request.
    Idle,
}

/// The state of one client, shared by its connection, its requests and the worker's [`Connections`].
#[derive(Debug)]
pub struct Client {
    /// The address that it came to.
    pub(in crate::http) address: SocketAddr,
    /// Whether it speaks TLS.
    pub(in crate::http) secure: bool,
    timeouts: ClientTimeouts,
    /// Requests that are being answered.
    in_flight: Cell<u32>,
    answered: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    /// Since when the phase lasts, or since the last answer.
    pub(super) since: Cell<Instant>,
    /// Whether the last read had to wait.
    pub(super) reads: Cell<bool>,
    /// By when the client has to have taken more of an answer, where it has to.
    pub(super) write_deadline: Cell<Option<Instant>>,
    evicted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether it took one of the reserved connections.
    in_reserve: Cell<bool>,
}

impl Client {
    pub(super) fn new(address: SocketAddr, secure: bool, timeouts: ClientTimeouts) -> Self {
        Self {
            address,
            secure,
            timeouts,
            in_flight: Cell::new(0),
            answered: Cell::new(false),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            reads: Cell::new(true),
            write_deadline: Cell::new(None),
            evicted: Cell::new(false),
            waker: RefCell::new(None),
            in_reserve: Cell::new(false),
        }
    }

    /// The deadline of the client; `None` while the service works.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.evicted.get() {
            let grace = if self.is_silent() { GRACE } else { Duration::ZERO };
            return Some(self.since.get() + grace);
        }
        if let Some(write_deadline) = self.write_deadline.get() {
            return Some(write_deadline);
        }
        if self.in_flight.get() > 0 {
            return None;
        }
        let idle = self.phase.get() == Phase::Idle && self.answered.get();
        Some(self.since.get() + if idle { self.timeouts.idle } else { self.timeouts.head })
    }

    fn is_silent(&self) -> bool {
        self.phase.get() == Phase::Idle && !self.answered.get() && self.in_flight.get() == 0
    }

    /// Whether a request is being answered whose body is not there yet.
    pub(super) fn is_sending_body(&self) -> bool {
        self.in_flight.get() > 0 && self.phase.get() == Phase::Body
    }

    /// The order of eviction, the smallest first; `None` where the service does not wait for the client.
    fn rank(&self) -> Option<(Stage, Instant)> {
        let stage = match self.phase.get() {
            _ if self.evicted.get() => return None,
            _ if self.write_deadline.get().is_some() => Stage::Message,
            Phase::Body if self.reads.get() || self.in_flight.get() == 0 => Stage::Message,
            _ if self.in_flight.get() > 0 => return None,
            Phase::Head | Phase::Body => Stage::Message,
            Phase::Idle if self.is_silent() => Stage::Silent,
            Phase::Idle => Stage::Idle,
        };
        Some((stage, self.since.get()))
    }

    /// Whether its connection is closed where it would have to wait.
    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.get()
    }

    /// It sent or took something.
    pub(super) fn progressed(&self) {
        self.evicted.set(false);
    }

    fn evict(&self) {
        self.evicted.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What wakes its connection.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// A request until the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight(pub(super) Rc<Client>);

impl InFlight {
    pub(super) fn begin(client: &Rc<Client>) -> Self {
        client.in_flight.set(client.in_flight.get() + 1);
        Self(Rc::clone(client))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
        self.0.answered.set(true);
        self.0.since.set(Instant::now());
    }
}

/// The clients of one worker.
#[derive(Debug, Default)]
pub(super) struct Connections {
    clients: RefCell<BTreeMap<u64, Rc<Client>>>,
    next: Cell<u64>,
    room: Cell<usize>,
}

thread_local! {
    static CONNECTIONS: Rc<Connections> = Rc::default();
}

impl Connections {
    /// The connections of this worker, which may have `limit` of them.
    pub(super) fn here(limit: usize) -> Rc<Self> {
        let connections = CONNECTIONS.with(Rc::clone);
        connections.room.set((limit - (limit / 8).max(1)).max(1));
        connections
    }

    /// Adds a client, and evicts others where there is no room for it.
    pub(super) fn enter(self: &Rc<Self>, client: Client) -> Registration {
        let client = Rc::new(client);
        let mut clients = self.clients.borrow_mut();
        let number = self.next.replace(self.next.get() + 1);
        if clients.len() >= self.room.get() {
            let mut staying = staying(&clients);
            while staying >= self.room.get() {
                let ranked = clients.values().filter_map(|client| Some((client.rank()?, client)));
                let Some((_, first)) = ranked.min_by_key(|(rank, _)| *rank) else { break };
                first.evict();
                staying -= 1;
            }
            client.in_reserve.set(staying >= self.room.get());
        }
        clients.insert(number, Rc::clone(&client));
        Registration { connections: Rc::clone(self), number, client }
    }

    /// Whether `client` has a reserved connection, because all others are in use still.
    pub(super) fn is_full_for(client: &Client) -> bool {
        client.in_reserve.get()
            && CONNECTIONS.with(|connections| {
                let full = staying(&connections.clients.borrow()) > connections.room.get();
                client.in_reserve.set(full);
                full
            })
    }
}

fn staying(clients: &BTreeMap<u64, Rc<Client>>) -> usize {
    clients.values().filter(|client| !client.is_evicted()).count()
}

/// A client among the worker's connections, until this is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    connections: Rc<Connections>,
    number: u64,
    pub(super) client: Rc<Client>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.clients.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client() -> Client {
        let second = Duration::from_secs(1);
        let timeouts = ClientTimeouts { head: second, idle: second * 75, portion: second * 10 };
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), false, timeouts)
    }

    #[test]
    fn the_client_that_was_waited_for_longest_makes_room_and_one_that_is_answered_never_does() {
        let connections = Connections::here(16);
        let evicted =
            |places: &[Registration]| places.iter().map(|place| place.client.is_evicted()).collect::<Vec<_>>();
        let mut places: Vec<Registration> = (0..14).map(|_| connections.enter(client())).collect();
        assert!(!evicted(&places).contains(&true), "there is room");
        // The first is idle between requests, the second is answered, the third has just sent something.
        drop(InFlight::begin(&places[0].client));
        let answered = InFlight::begin(&places[1].client);
        places[2].client.since.set(Instant::now());
        places.push(connections.enter(client()));
        assert_eq!(evicted(&places).iter().position(|up| *up), Some(3));
        for _ in 0..11 {
            places.push(connections.enter(client()));
        }
        let up = evicted(&places);
        assert_eq!((up[0], up[1], up[2]), (false, false, true), "idle ones are given up last");
        drop(answered);
    }

    #[test]
    fn where_all_are_answered_only_what_is_reserved_is_left() {
        let connections = Connections::here(8);
        let places: Vec<Registration> = (0..7).map(|_| connections.enter(client())).collect();
        let answered: Vec<_> = places.iter().map(|place| InFlight::begin(&place.client)).collect();
        let last = connections.enter(client());
        assert!(!Connections::is_full_for(&places[6].client) && Connections::is_full_for(&last.client));
        assert!(places.iter().all(|place| !place.client.is_evicted()));
        drop((answered, places));
        assert!(!Connections::is_full_for(&last.client), "there is room again");
    }
}
