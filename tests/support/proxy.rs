//! A TCP proxy that forwards bytes and fails on demand.
//!
//! It has its own thread and runtime, so a test that blocks (for example while it kills a server) does not stall it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How the network behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not fail.
    None,
    /// Nothing gets through in either direction, without an error; what was sent arrives when the fault ends.
    Stall,
    /// As [`Fault::Stall`], but what was sent is lost: the other end has forgotten the connection.
    DropSilently,
    /// Everything is delayed by this much, in each direction.
    Delay(Duration),
    /// New connections are reset at once; existing ones continue.
    Refuse,
    /// Each connection is reset in the middle of the next bytes that the client sends.
    CutRequests,
    /// Each connection is reset in the middle of the next bytes that the server sends.
    CutAnswers,
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// A connection was cut in the middle of bytes.
struct Cut;

/// The proxy. Connections break when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    control: Control,
    open: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Control {
    fault: watch::Sender<Fault>,
    cuts: watch::Sender<u64>,
    half_closes: watch::Sender<u64>,
}

/// A connection's view of the control.
#[derive(Clone)]
struct Orders {
    fault: watch::Receiver<Fault>,
    cuts: watch::Receiver<u64>,
    half_closes: watch::Receiver<u64>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub fn to(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a runtime");
        let control = Control {
            fault: watch::Sender::new(Fault::None),
            cuts: watch::Sender::new(0),
            half_closes: watch::Sender::new(0),
        };
        let orders = Orders {
            fault: control.fault.subscribe(),
            cuts: control.cuts.subscribe(),
            half_closes: control.half_closes.subscribe(),
        };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let own_port = listener.local_addr().expect("an address").port();
        let open = Arc::new(AtomicUsize::new(0));
        runtime.spawn(accept(listener, port, orders, Arc::clone(&open)));
        Self { port: own_port, control, open, runtime: Some(runtime) }
    }

    /// The port that it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections pass through it now.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// How the network behaves from now on, for existing and new connections.
    pub fn set(&self, fault: Fault) {
        self.control.fault.send_replace(fault);
    }

    /// Cuts all existing connections: both ends see a reset (RST).
    pub fn cut(&self) {
        self.control.cuts.send_modify(|count| *count += 1);
    }

    /// Half-closes all existing connections: the client sees the end of the server's bytes, and its own still pass.
    pub fn half_close(&self) {
        self.control.half_closes.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, port: u16, orders: Orders, open: Arc<AtomicUsize>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *orders.fault.borrow() == Fault::Refuse {
            reset(&client);
            continue;
        }
        let (mut orders, open) = (orders.clone(), Arc::clone(&open));
        // Earlier orders do not apply to this connection.
        orders.cuts.mark_unchanged();
        orders.half_closes.mark_unchanged();
        open.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            relay(client, port, orders).await;
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn relay(mut client: TcpStream, port: u16, mut orders: Orders) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        reset(&client);
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("the option is known");
    }
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let passing = async {
            tokio::try_join!(
                pump(From::Client, from_client, to_server, orders.fault.clone(), None),
                pump(From::Server, from_server, to_client, orders.fault.clone(), Some(orders.half_closes.clone())),
            )
        };
        tokio::select! {
            passed = passing => passed.is_err(),
            changed = orders.cuts.changed() => changed.is_ok(),
        }
    };
    if cut {
        reset(&client);
        reset(&server);
    }
}

/// Forwards bytes until their source ends, or until a half-close is requested.
async fn pump(
    source: From,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
    half_closes: Option<watch::Receiver<u64>>,
) -> Result<(), Cut> {
    let copy = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            if fault.wait_for(|fault| *fault != Fault::Stall).await.is_err() {
                return Ok(());
            }
            let count = tokio::select! {
                read = from.read(&mut bytes) => read.unwrap_or(0),
                _ = fault.changed() => continue,
            };
            // A fault that was set while these bytes were awaited applies to them too.
            let Ok(now) = fault.wait_for(|fault| *fault != Fault::Stall).await.map(|fault| *fault) else {
                return Ok(());
            };
            match now {
                Fault::DropSilently if count == 0 => std::future::pending().await,
                Fault::DropSilently => continue,
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::CutRequests if source == From::Client && count > 0 => {
                    return cut_within(&mut to, &bytes, count).await;
                }
                Fault::CutAnswers if source == From::Server && count > 0 => {
                    return cut_within(&mut to, &bytes, count).await;
                }
                Fault::None | Fault::Stall | Fault::Refuse | Fault::CutRequests | Fault::CutAnswers => {}
            }
            if count == 0 || to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
                return Ok(());
            }
        }
    };
    match half_closes {
        None => copy.await?,
        Some(mut half_closes) => {
            tokio::select! {
                copied = copy => copied?,
                _ = half_closes.changed() => {
                    finish(&mut to).await;
                    std::future::pending::<()>().await;
                }
            }
        }
    }
    finish(&mut to).await;
    Ok(())
}

/// Forwards the first half of `count` bytes.
async fn cut_within(to: &mut WriteHalf<'_>, bytes: &[u8], count: usize) -> Result<(), Cut> {
    // The other end may have closed first.
    to.write_all(bytes.get(..count / 2).unwrap_or_default()).await.unwrap_or(());
    Err(Cut)
}

async fn finish(to: &mut WriteHalf<'_>) {
    // The other end may have closed first.
    to.shutdown().await.unwrap_or(());
}

/// Makes the socket send RST when it is dropped.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("the option is known");
}
