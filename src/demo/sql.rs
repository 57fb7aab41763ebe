//! Statements that the demo runs on its server.

use tokio_postgres::{Client, NoTls};

use super::error::ServerError;

/// Creates a database on the server of `url` unless it exists. Its name has no quotes.
pub(super) async fn create_database(url: &str, database: &str) -> Result<(), ServerError> {
    let action = format!("create the database `{database}`");
    let client = connect(url, &action).await?;
    let known = "SELECT 1 FROM pg_database WHERE datname = $1";
    if client.query_opt(known, &[&database]).await.map_err(ServerError::sql(&action))?.is_some() {
        return Ok(());
    }
    client.batch_execute(&format!("CREATE DATABASE \"{database}\"")).await.map_err(ServerError::sql(&action))
}

/// Creates a role that may log in with this password, unless it exists. Neither has characters that SQL would quote.
pub(super) async fn create_role(url: &str, role: &str, password: &str) -> Result<(), ServerError> {
    let action = format!("create the role `{role}`");
    let client = connect(url, &action).await?;
    let known = "SELECT 1 FROM pg_roles WHERE rolname = $1";
    if client.query_opt(known, &[&role]).await.map_err(ServerError::sql(&action))?.is_some() {
        return Ok(());
    }
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{password}'");
    client.batch_execute(&create).await.map_err(ServerError::sql(&action))
}

/// Runs statements on the database of `url`. `file` names them in errors.
pub(super) async fn run(url: &str, file: &str, statements: &str) -> Result<(), ServerError> {
    let action = format!("run `{file}`");
    connect(url, &action).await?.batch_execute(statements).await.map_err(ServerError::sql(&action))
}

async fn connect(url: &str, action: &str) -> Result<Client, ServerError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(ServerError::sql(action))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the demo's server broke");
        }
    });
    Ok(client)
}
