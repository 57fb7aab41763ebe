//! The flows as tools of the [Model Context Protocol](https://modelcontextprotocol.io): each flow can be decided, explained, asked
//! "what if", and asked at which value its outcome changes.
//!
//! | file | what it does |
//! |---|---|
//! | `tool` | what there is of each flow: names, descriptions, schemas |
//! | `call` | one call of a tool: rights, arguments, the decision, its result |
//! | `protocol` | the protocol, as the SDK (rmcp) speaks it |
//! | `endpoint` | `POST /mcp`, the transport that the specification calls Streamable HTTP; `tributary mcp` has the other, stdio |
//!
//! A tool makes its decision as the endpoint of the flow does, by the same rights, limits and records. A problem is a result with
//! `isError`, and never a decision.

mod call;
pub(super) mod endpoint;
mod protocol;
mod tool;

use std::future::pending;
use std::rc::Rc;

use rmcp::ServiceExt;
use rmcp::service::{RoleServer, ServerInitializeError};
use rmcp::transport::IntoTransport;

use self::call::{Caller, Tools};
use self::protocol::Protocol;
use super::service::Service;

/// Answers the one client at the other end of `transport`, who may do everything, until it leaves. Calls are answered at the same
/// time.
///
/// Must be called inside an actix system.
///
/// # Errors
/// Why the client and the service do not understand each other.
pub async fn converse<T, E, A>(service: Service, transport: T) -> Result<(), Box<ServerInitializeError>>
where
    T: IntoTransport<RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let (protocol, asked) = Protocol::new();
    let answers = actix_web::rt::spawn(Rc::new(Tools { service, caller: Caller::Process }).serve(asked));
    let ended = hold(protocol, transport).await;
    answers.abort();
    ended
}

/// Speaks with the client until it leaves.
async fn hold<T, E, A>(protocol: Protocol, transport: T) -> Result<(), Box<ServerInitializeError>>
where
    T: IntoTransport<RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let running = match protocol.clone().serve(transport).await {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(Box::new(error)),
    };
    let peer = running.peer().clone();
    let announcements = async {
        // A client of a revision without a handshake subscribes to them.
        if peer.peer_info().is_some_and(|info| info.protocol_version.has_initialize())
            && let Ok(mut changes) = protocol.changes().await
        {
            while changes.recv().await.is_some() {
                // That the client is gone ends the conversation.
                drop(peer.notify_tool_list_changed().await);
            }
        }
        pending::<()>().await;
    };
    tokio::select! {
        // How it ended is the client's business.
        ended = running.waiting() => ended.map_or(Ok(()), |_| Ok(())),
        () = announcements => Ok(()),
    }
}
