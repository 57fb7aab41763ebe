//! The protocol, as the SDK speaks it.
//!
//! The SDK may run a handler on any thread, and a request and the actors it asks are those of one. So the handler passes what it is
//! asked to the thread of the request, and waits for the answer. A client that cancels its call drops the answer's receiver.

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use tokio::sync::{mpsc, oneshot};

/// What a client learns about the service as a whole.
const INSTRUCTIONS: &str = "Each flow makes a decision from databases and business rules: NAME_decide makes it, NAME_explain says why, \
    NAME_what_if makes it with other facts, NAME_flip finds at which values of facts it changes. Only NAME_decide with the argument \
    Idempotency-Key writes: what its flow's outcome writes, once for each key. A result with isError \
    is no decision: its `code` and `detail` say what is wrong, and where `retryable` is true, the same call may succeed later.";

/// What a client asks.
pub(super) enum Ask {
    /// The tools that it may call.
    List(oneshot::Sender<Vec<Tool>>),
    /// The result of a tool.
    Call(Box<CallToolRequestParams>, oneshot::Sender<Result<CallToolResult, ErrorData>>),
    /// To hear of each reload that changes the tools that it may call.
    Changes(mpsc::Sender<()>),
}

/// One end of the conversation with a client. The other is the receiver that [`Self::new`] gives.
#[derive(Clone)]
pub(super) struct Protocol {
    asks: mpsc::Sender<Ask>,
}

impl Protocol {
    pub(super) fn new() -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(1);
        (Self { asks }, asked)
    }

    /// What says that the tools have changed, until the service stops.
    pub(super) async fn changes(&self) -> Result<mpsc::Receiver<()>, ErrorData> {
        let (changes, changed) = mpsc::channel(1);
        self.asks.send(Ask::Changes(changes)).await.map_err(|_| gone())?;
        Ok(changed)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, ErrorData> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn gone() -> ErrorData {
    ErrorData::internal_error("the service is stopping", None)
}

impl ServerHandler for Protocol {
    fn get_info(&self) -> ServerConfig {
        let service = Implementation::new("tributary", env!("CARGO_PKG_VERSION"));
        let tools = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        ServerConfig::new(tools).with_server_info(service).with_instructions(INSTRUCTIONS)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes().await?;
        let failed = |error| ErrorData::internal_error(format!("a change could not be sent: {error}"), None);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(()) => context.sink().notify_tool_list_changed().await.map_err(failed)?,
                    None => return Ok(()),
                },
                () = context.cancelled() => return Ok(()),
            }
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.ask(Ask::List).await.map(ListToolsResult::with_all_items)
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tokio::select! {
            result = self.ask(|reply| Ask::Call(Box::new(call), reply)) => Ok(result??.into()),
            // Nobody waits for the result any more.
            () = context.ct.cancelled() => Err(ErrorData::internal_error("the client cancelled this call", None)),
        }
    }
}
