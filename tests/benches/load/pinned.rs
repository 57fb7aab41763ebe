//! The decision of [`crate::rival`] over connections that belong to a worker: each worker has one connection to
//! each database, and the task that drives it runs on the worker's thread, so that a request never crosses threads.
//!
//! It comes in two forms. The plain one sends each query as it comes, and the connection pipelines them. The
//! coalescing one sends all queries that wait for a database as one statement, with at most [`DEPTH`] statements
//! under way on a connection. Like the other rival it has no deadlines, no retries and no graph: it shows what the
//! threads and the statements cost alone.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::sync::oneshot;
use tokio_postgres::{Client, Error, NoTls, Statement};

use crate::rival::{Found, Input, QUERIES, decision};

/// Threads that serve requests.
const WORKERS: usize = 2;
/// Statements under way on a connection, when waiting queries are coalesced.
const DEPTH: usize = 3;

/// Whether waiting queries go as one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Each goes as it comes.
    Apart,
    /// All that wait go together.
    Together,
}

/// A query that waits: its product, and where its answer goes.
type Ask = (String, oneshot::Sender<Option<Found>>);

/// A database as one worker sees it.
struct Database {
    client: Client,
    one: Statement,
    many: Statement,
    queue: RefCell<Vec<Ask>>,
    /// Tasks that send statements, each with one under way.
    senders: Cell<usize>,
    /// A sender has been spawned and has not looked at the queue yet.
    starting: Cell<bool>,
}

/// What each worker has for itself.
struct Worker {
    databases: [Rc<Database>; 4],
    waiting: Waiting,
}

/// Serves at `address`, on the databases at these URLs.
pub fn serve(address: &str, urls: &[String], waiting: Waiting) {
    let urls: [String; 4] = urls.to_vec().try_into().expect("four databases");
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                let urls = urls.clone();
                // The factory runs on the thread of the worker, and with it the tasks that drive the connections.
                App::new()
                    .data_factory(move || Worker::open(urls.clone(), waiting))
                    .route("/purchasing/flow", web::post().to(decide))
            });
            server.workers(WORKERS).bind(address)?.run().await
        })
        .expect("it serves");
}

impl Worker {
    async fn open(urls: [String; 4], waiting: Waiting) -> Result<Self, Infallible> {
        let mut databases = Vec::new();
        for (url, query) in urls.iter().zip(QUERIES) {
            databases.push(Rc::new(Database::open(url, query).await.expect("a database")));
        }
        let Ok(databases) = databases.try_into() else { panic!("four databases") };
        Ok(Self { databases, waiting })
    }

    async fn ask(&self, database: usize, product: &str) -> Option<Found> {
        let database = &self.databases[database];
        match self.waiting {
            Waiting::Apart => database.ask_one(product).await,
            Waiting::Together => database.ask_with_others(product).await,
        }
    }
}

impl Database {
    async fn open(url: &str, query: &str) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        actix_web::rt::spawn(connection);
        let one = client.prepare(query).await?;
        let many = client.prepare(&coalesced(query)).await?;
        let (queue, senders, starting) = Default::default();
        Ok(Self { client, one, many, queue, senders, starting })
    }

    async fn ask_one(&self, product: &str) -> Option<Found> {
        let row = self.client.query_opt(&self.one, &[&product]).await.expect("an answer");
        row.map(|row| Found { row, first: 0 })
    }

    async fn ask_with_others(self: &Rc<Self>, product: &str) -> Option<Found> {
        let (sender, answer) = oneshot::channel();
        self.queue.borrow_mut().push((product.to_owned(), sender));
        if !self.starting.get() && self.senders.get() < DEPTH {
            self.starting.set(true);
            self.senders.set(self.senders.get() + 1);
            // The new task runs after the tasks that are ready now, so that their queries go with this one.
            actix_web::rt::spawn(Rc::clone(self).send());
        }
        answer.await.expect("an answer")
    }

    /// Sends whatever waits, one statement after the other, until nothing waits.
    async fn send(self: Rc<Self>) {
        self.starting.set(false);
        loop {
            let mut asks = self.queue.take();
            match asks.len() {
                0 => break,
                1 => {
                    for (product, sender) in asks.drain(..) {
                        // Nobody may wait any more: the client has gone.
                        drop(sender.send(self.ask_one(&product).await));
                    }
                }
                _ => self.send_together(asks).await,
            }
        }
        self.senders.set(self.senders.get() - 1);
    }

    async fn send_together(&self, asks: Vec<Ask>) {
        let (products, senders): (Vec<String>, Vec<_>) = asks.into_iter().unzip();
        let rows = self.client.query(&self.many, &[&products]).await.expect("an answer");
        let mut senders: Vec<_> = senders.into_iter().map(Some).collect();
        for row in rows {
            let ordinal = usize::try_from(row.get::<_, i64>(0)).expect("an ordinal");
            if let Some(sender) = senders[ordinal - 1].take() {
                drop(sender.send(Some(Found { row, first: 1 })));
            }
        }
        for sender in senders.into_iter().flatten() {
            drop(sender.send(None));
        }
    }
}

/// The statement that runs a query for each product of an array, and tells which one a row belongs to.
fn coalesced(query: &str) -> String {
    // OFFSET 0 keeps the planner from turning the lateral query into a join that reads the whole table.
    let lateral = query.replace("$1", "asked.product::varchar");
    format!(
        "SELECT asked.ordinal, found.* FROM unnest($1::text[]) WITH ORDINALITY asked (product, ordinal) CROSS JOIN LATERAL ({lateral} OFFSET 0) found"
    )
}

async fn decide(worker: web::Data<Worker>, input: web::Json<Input>) -> HttpResponse {
    let ask = |database| worker.ask(database, &input.product_id);
    match tokio::join!(ask(0), ask(1), ask(2), ask(3)) {
        (Some(oms), Some(inventory), Some(supplier), Some(uom)) => {
            decision(&input.product_id, &[oms, inventory, supplier, uom])
        }
        _ => HttpResponse::NotFound().finish(),
    }
}
