//! A client's connection: plain or TLS, with a deadline for whatever the client has to do next.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::client::{Client, ClientTimeouts, Connections, Registration};
use super::framing::{Framing, Phase};

/// The part of an answer that a client has to take in one go, in bytes.
pub(super) const PORTION: usize = 16 * 1024;
/// How long a peer may leave data unacknowledged: an event stream waits for nothing that it could notice.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// The answer to a head that is not complete in time.
const SLOW_HEAD: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// The connection of a client.
pub struct ClientStream {
    io: Io,
    framing: Framing,
    registration: Registration,
    writing: Writing,
    timeouts: ClientTimeouts,
    timer: Option<Pin<Box<Sleep>>>,
}

enum Io {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    Failed,
}

/// How long the client has been waited for to take an answer, and what it took.
#[derive(Debug, Default)]
struct Writing {
    since: Option<Instant>,
    waited: Duration,
    taken: usize,
}

impl Io {
    /// The stream, once the handshake is done.
    fn poll_ready<'a>(&'a mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&'a mut dyn Duplex>>> {
        if let Self::Handshake(handshake) = self {
            match ready!(Pin::new(handshake.as_mut()).poll(cx)) {
                Ok(stream) => *self = Self::Tls(Box::new(stream)),
                Err(error) => {
                    *self = Self::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match self {
            Self::Plain(stream) => Ok(Pin::new(stream as &mut dyn Duplex)),
            Self::Tls(stream) => Ok(Pin::new(stream.as_mut() as &mut dyn Duplex)),
            Self::Handshake(_) | Self::Failed => Err(ErrorKind::NotConnected.into()),
        })
    }
}

/// What can be read and written.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl ClientStream {
    /// The connection of a client that came to `address`, on a worker that may have `limit` connections.
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<&TlsAcceptor>,
        address: SocketAddr,
        (timeouts, limit): (ClientTimeouts, usize),
    ) -> Self {
        // Both are optional, and missing on some systems.
        drop(stream.set_nodelay(true));
        drop(SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED)));
        let client = Client::new(address, tls.is_some(), timeouts);
        let io = match tls {
            Some(tls) => Io::Handshake(Box::new(tls.accept(stream))),
            None => Io::Plain(stream),
        };
        Self {
            io,
            framing: Framing::default(),
            registration: Connections::here(limit).enter(client),
            writing: Writing::default(),
            timeouts,
            timer: None,
        }
    }

    /// What others know of it.
    pub(super) fn client(&self) -> &Rc<Client> {
        &self.registration.client
    }

    /// Waits for the client, until its deadline.
    fn check_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let client = &self.registration.client;
        client.set_waker(cx.waker());
        // The timer is not set anew for each request: it may end early, and then goes on to the deadline of that moment.
        while let Some(deadline) = client.deadline() {
            let deadline = tokio::time::Instant::from_std(deadline);
            let timer = match &mut self.timer {
                Some(timer) if !timer.is_elapsed() && timer.deadline() <= deadline => return Poll::Pending,
                Some(_) | None if deadline <= tokio::time::Instant::now() => {
                    return Poll::Ready(ErrorKind::TimedOut.into());
                }
                Some(timer) => {
                    timer.as_mut().reset(deadline);
                    timer
                }
                None => self.timer.insert(Box::pin(sleep_until(deadline))),
            };
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Pending
    }

    /// What was read: the framing reads along.
    fn received(&mut self, bytes: &mut [u8]) {
        let client = &self.registration.client;
        // While a body is read, each part of it counts.
        if self.framing.pass(bytes) || client.is_sending_body() {
            client.phase.set(self.framing.phase());
            client.since.set(Instant::now());
        }
        client.reads.set(false);
        client.progressed();
    }

    /// Answers that the head took too long, if the socket takes that at once.
    fn refuse_head(&mut self, cx: &mut Context<'_>) {
        let client = &self.registration.client;
        let in_head = client.phase.get() == Phase::Head && !client.is_evicted();
        if in_head && let Poll::Ready(Ok(mut stream)) = self.io.poll_ready(cx) {
            // The connection is closed next, whatever becomes of this.
            drop(stream.as_mut().poll_write(cx, SLOW_HEAD));
            drop(stream.poll_flush(cx));
        }
    }

    /// A write, or what follows it, went on by `outcome` bytes, or has to wait for the client.
    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let writing = &mut self.writing;
        if let Poll::Ready(outcome) = &outcome {
            if let Some(since) = writing.since.take() {
                writing.waited += since.elapsed();
                self.registration.client.write_deadline.set(None);
                self.registration.client.progressed();
            }
            writing.taken += outcome.as_ref().map_or(0, bytes);
            if writing.taken >= PORTION {
                *writing = Writing::default();
            }
        } else if writing.since.is_none() {
            let now = Instant::now();
            writing.since = Some(now);
            let left = self.timeouts.portion.saturating_sub(writing.waited);
            self.registration.client.write_deadline.set(Some(now + left));
        }
        // An answer has ended, or waits: either way it may be the client's turn now.
        match (self.check_deadline(cx), outcome) {
            (Poll::Ready(error), Poll::Pending) => Poll::Ready(Err(error)),
            (Poll::Ready(_), outcome) => {
                // The next read closes the connection.
                cx.waker().wake_by_ref();
                outcome
            }
            (Poll::Pending, outcome) => outcome,
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = match this.io.poll_ready(cx) {
            Poll::Ready(Ok(stream)) => stream.poll_read(cx, buffer),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        if outcome.is_ready() {
            if let Some(bytes) = buffer.filled_mut().get_mut(before..).filter(|bytes| !bytes.is_empty()) {
                this.received(bytes);
            }
            return outcome;
        }
        this.registration.client.reads.set(true);
        let error = ready!(this.check_deadline(cx));
        this.refuse_head(cx);
        Poll::Ready(Err(error))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = this.io.poll_ready(cx).map_ok(|stream| stream.poll_write(cx, bytes));
        this.wrote(cx, flatten(outcome), |written| *written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nothing has been written before the end of the handshake.
        let outcome = match &this.io {
            Io::Handshake(_) => Poll::Ready(Ok(())),
            _ => flatten(this.io.poll_ready(cx).map_ok(|stream| stream.poll_flush(cx))),
        };
        this.wrote(cx, outcome, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = flatten(this.io.poll_ready(cx).map_ok(|stream| stream.poll_shutdown(cx)));
        this.wrote(cx, outcome, |()| 0)
    }
}

fn flatten<T>(outcome: Poll<io::Result<Poll<io::Result<T>>>>) -> Poll<io::Result<T>> {
    match outcome {
        Poll::Ready(Ok(outcome)) => outcome,
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}
