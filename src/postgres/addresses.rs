//! The addresses of a host, each with a time of its own.
//!
//! An address that gave no answer is tried last until it answers, so that not every connection waits for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::failure::{ConnectError, DialError};

/// The most addresses of one host that are tried.
pub(super) const MAX_ADDRESSES: usize = 8;

/// The addresses of a host, at most [`MAX_ADDRESSES`].
pub(super) async fn look_up(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    match timeout(limit, lookup_host((host, port))).await {
        Ok(found) => {
            let addresses: Vec<SocketAddr> = found?.take(MAX_ADDRESSES).collect();
            if addresses.is_empty() { Err(io::Error::other("the host has no address")) } else { Ok(addresses) }
        }
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the name service gave no answer in time")),
    }
}

/// Tries `addresses` one after the other, each for as long as `limit`. The one that was `silent` comes last.
///
/// # Errors
/// That of the last one.
pub(super) async fn in_turn<T, F>(
    addresses: &[SocketAddr],
    silent: &ArcSwapOption<SocketAddr>,
    limit: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, DialError>
where
    F: Future<Output = Result<T, DialError>>,
{
    let last = silent.load_full();
    let mut addresses = addresses.to_vec();
    addresses.sort_by_key(|address| last.as_deref() == Some(address));
    let mut failure = DialError::from("the host has no address");
    for address in addresses {
        match timeout(limit, attempt(address)).await {
            Ok(Ok(made)) => {
                if last.as_deref() == Some(&address) {
                    silent.store(None);
                }
                return Ok(made);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => {
                silent.store(Some(Arc::new(address)));
                failure = ConnectError::late(limit).into();
            }
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A listener that answers with one byte, or one that takes connections and says nothing.
    async fn listener(answers: bool) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let serve = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if answers {
                    stream.write_all(b"S").await.expect("written");
                }
                open.push(stream);
            }
        });
        (address, serve)
    }

    #[tokio::test]
    async fn each_address_has_its_own_time_and_a_silent_one_is_tried_last() {
        let ((dumb, _dumb), (answering, _answering)) = (listener(false).await, listener(true).await);
        let refusing = {
            let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            unused.local_addr().expect("its address")
        };
        let (silent, limit) = (ArcSwapOption::empty(), Duration::from_millis(300));
        let tried = std::sync::Mutex::new(Vec::new());
        let attempt = |address| {
            tried.lock().expect("no panic").push(address);
            async move {
                let mut stream = TcpStream::connect(address).await?;
                Ok(stream.read_u8().await.map(|_| address)?)
            }
        };
        let took = async |addresses: &[SocketAddr]| {
            tried.lock().expect("no panic").clear();
            let made = in_turn(addresses, &silent, limit, attempt).await;
            (made.map_err(|error| error.to_string()), tried.lock().expect("no panic").clone())
        };
        let late = "no answer within 300 ms".to_owned();
        let all = [dumb, refusing, answering];
        assert_eq!(took(&all).await, (Ok(answering), vec![dumb, refusing, answering]));
        assert_eq!(took(&all).await, (Ok(answering), vec![refusing, answering]), "the silent one is last now");
        assert_eq!(took(&[dumb]).await, (Err(late.clone()), vec![dumb]));
        assert_eq!(took(&[dumb, refusing]).await, (Err(late), vec![refusing, dumb]));
        let (refused, tried) = took(&[refusing]).await;
        assert!(refused.is_err_and(|why| why.starts_with("Connection refused")));
        assert_eq!(tried, vec![refusing]);
    }
}
