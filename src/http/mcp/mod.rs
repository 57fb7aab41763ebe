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
    let tools = Rc::new(Tools { service, caller: Caller::Process });
    let (protocol, mut asked) = Protocol::new();
    let conversation = async {
        match protocol.serve(transport).await {
            // How it ended is the client's business.
            Ok(running) => running.waiting().await.map_or(Ok(()), |_| Ok(())),
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(Box::new(error)),
        }
    };
    let mut conversation = std::pin::pin!(conversation);
    loop {
        tokio::select! {
            ended = &mut conversation => return ended,
            Some(ask) = asked.recv() => {
                let tools = Rc::clone(&tools);
                actix_web::rt::spawn(async move { tools.answer(ask).await });
            }
        }
    }
}
