//! Databases and rows to fill a server with.

use tokio_postgres::{Client, NoTls};
use tributary::demo::ServerError;

/// Creates a database on the server of `url`, unless it is there; says whether it was created.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn create_database(url: &str, database: &str) -> Result<bool, ServerError> {
    let action = format!("create the database `{database}`");
    let session = Session::open(url, &action).await?;
    let known = "SELECT 1 FROM pg_database WHERE datname = $1";
    if session.client.query_opt(known, &[&database]).await.map_err(ServerError::sql(&action))?.is_some() {
        return Ok(false);
    }
    session.run(&format!("CREATE DATABASE {}", quoted(database)), &action).await?;
    Ok(true)
}

/// Creates a database as a copy of another one, to which nobody may be connected.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn clone_database(url: &str, template: &str, database: &str) -> Result<(), ServerError> {
    let action = format!("create the database `{database}` from `{template}`");
    let session = Session::open(url, &action).await?;
    session.run(&format!("CREATE DATABASE {} TEMPLATE {}", quoted(database), quoted(template)), &action).await
}

/// Drops a database if it is there, with the connections to it.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn drop_database(url: &str, database: &str) -> Result<(), ServerError> {
    let action = format!("drop the database `{database}`");
    let session = Session::open(url, &action).await?;
    session.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(database)), &action).await
}

/// Runs statements on the database of `url`, all or (where they are not transactions of their own) none. `name` says in
/// errors what they are, such as `sql/oms_db.sql`.
///
/// # Errors
/// The server cannot be reached or refuses one of them.
pub async fn run(url: &str, name: &str, statements: &str) -> Result<(), ServerError> {
    let action = format!("run `{name}`");
    Session::open(url, &action).await?.run(statements, &action).await
}

/// A connection that ends when this is dropped.
struct Session {
    client: Client,
}

impl Session {
    async fn open(url: &str, action: &str) -> Result<Self, ServerError> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(ServerError::sql(action))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection to a private server broke: {error}");
            }
        });
        Ok(Self { client })
    }

    async fn run(&self, statements: &str, action: &str) -> Result<(), ServerError> {
        self.client.batch_execute(statements).await.map_err(ServerError::sql(action))
    }
}

/// An identifier in SQL, whatever characters it has.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
