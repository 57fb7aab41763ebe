//! What a server says unasked: `RAISE NOTICE`, warnings. It may hold the rows of a query, so that the log shows it only where its
//! filter names it (`config/service.yaml`, `log.filter`).

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Connection, Socket};

/// The target of the log lines that show what the server says unasked.
pub const NOTICES: &str = "postgres_notices";

/// Runs a connection to its end. The driver's own way of running it logs notices.
pub(super) async fn drive<S>(mut connection: Connection<Socket, S>) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        loop {
            match connection.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    tracing::info!(target: NOTICES, severity = notice.severity(), message = notice.message());
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
