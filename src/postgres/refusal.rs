//! Refusals of our own in the driver's words: whoever makes connections for the pool has to fail with the driver's error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{Config, NoTls};

/// Turns `cause` into the driver's error. That type has no constructor of its own; but a connection over a stream that
/// cannot be written to fails with the stream's error.
pub(super) async fn refuse(cause: io::Error) -> tokio_postgres::Error {
    let mut settings = Config::new();
    settings.user("nobody");
    match settings.connect_raw(BrokenStream(Some(cause)), NoTls).await {
        Err(error) => error,
        Ok((client, _)) => {
            // It cannot be: nothing was ever read from the stream.
            drop(client);
            Box::pin(refuse(io::Error::other("the connection could not be made"))).await
        }
    }
}

struct BrokenStream(Option<io::Error>);

impl BrokenStream {
    fn fail<T>(&mut self) -> Poll<io::Result<T>> {
        Poll::Ready(Err(self.0.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())))
    }
}

impl AsyncRead for BrokenStream {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

impl AsyncWrite for BrokenStream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.fail()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fail()
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::ConnectError;
    use super::*;

    #[tokio::test]
    async fn a_cause_of_our_own_comes_out_of_the_driver_as_it_went_in() {
        let error = refuse(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 ms")).await;
        let why = ConnectError::of(&error).to_string();
        assert!(why.contains("no answer within 5 ms"), "{why}");
    }
}
