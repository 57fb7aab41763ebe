//! The addresses of a host, each with its own connect timeout.
//!
//! An address that did not answer is tried last until it answers, so that not every connection attempt waits for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::pool::{ConnectError, DialError};

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

/// Tries `addresses` one after the other, each for at most `limit`. The `unresponsive` one is tried last.
///
/// # Errors
/// The error of the last attempt.
pub(super) async fn try_in_order<T, F>(
    addresses: &[SocketAddr],
    unresponsive: &ArcSwapOption<SocketAddr>,
    limit: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> Result<T, DialError>
where
    F: Future<Output = Result<T, DialError>>,
{
    let last = unresponsive.load_full();
    let mut addresses = addresses.to_vec();
    addresses.sort_by_key(|address| last.as_deref() == Some(address));
    let mut failure = DialError::from("the host has no address");
    for address in addresses {
        match timeout(limit, attempt(address)).await {
            Ok(Ok(made)) => {
                if last.as_deref() == Some(&address) {
                    unresponsive.store(None);
                }
                return Ok(made);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => {
                unresponsive.store(Some(Arc::new(address)));
                failure = ConnectError::timed_out(limit).into();
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

    /// A listener that accepts connections, and answers with one byte or not at all.
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
    async fn each_address_has_its_own_timeout_and_an_unresponsive_one_is_tried_last() {
        let ((hanging, _hanging), (answering, _answering)) = (listener(false).await, listener(true).await);
        let refusing = {
            let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            unused.local_addr().expect("its address")
        };
        let (unresponsive, limit) = (ArcSwapOption::empty(), Duration::from_millis(300));
        let tried = std::sync::Mutex::new(Vec::new());
        let attempt = |address| {
            tried.lock().expect("no panic").push(address);
            async move {
                let mut stream = TcpStream::connect(address).await?;
                Ok(stream.read_u8().await.map(|_| address)?)
            }
        };
        let connect = async |addresses: &[SocketAddr]| {
            tried.lock().expect("no panic").clear();
            let made = try_in_order(addresses, &unresponsive, limit, attempt).await;
            (made.map_err(|error| error.to_string()), tried.lock().expect("no panic").clone())
        };
        let late = "no answer within 300 ms".to_owned();
        let all = [hanging, refusing, answering];
        assert_eq!(connect(&all).await, (Ok(answering), vec![hanging, refusing, answering]));
        assert_eq!(connect(&all).await, (Ok(answering), vec![refusing, answering]), "the unresponsive one is last now");
        assert_eq!(connect(&[hanging]).await, (Err(late.clone()), vec![hanging]));
        assert_eq!(connect(&[hanging, refusing]).await, (Err(late), vec![refusing, hanging]));
        let (refused, tried) = connect(&[refusing]).await;
        assert!(refused.is_err_and(|why| why.starts_with("Connection refused")));
        assert_eq!(tried, vec![refusing]);
    }
}
