//! What a server sends unasked. Notices (`RAISE NOTICE` and warnings) may contain data of a query, so they are logged only where the
//! log filter names their target (`config/service.yaml`, `log.filter`). Notifications (`NOTIFY`) are passed on.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Connection, Socket};

/// The target of the log events for notices.
pub const NOTICES: &str = "postgres_notices";

/// Runs a connection until it closes; `notified` gets its notifications, of which several may become one. Polling it as a future would have the driver log notices under its own target.
pub(super) async fn drive<S>(
    mut connection: Connection<Socket, S>,
    notified: &Notify,
) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        loop {
            match connection.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    tracing::info!(target: NOTICES, severity = notice.severity(), message = notice.message());
                }
                Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => notified.notify_one(),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
