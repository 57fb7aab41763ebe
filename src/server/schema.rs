//! Databases and tables on a private server.

use tokio_postgres::{Client, NoTls};

use super::error::ServerError;

/// Creates the database `name` on the server behind `url` (of another database, such as `postgres`), where it is missing.
///
/// # Errors
/// [`ServerError::Sql`].
pub async fn ensure_database(url: &str, name: &str) -> Result<(), ServerError> {
    let failed = |source| ServerError::Sql { what: format!("creating database `{name}`"), source };
    let client = connect(url).await.map_err(failed)?;
    let found = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.map_err(failed)?;
    if found.is_none() {
        let quoted = name.replace('"', "\"\"");
        client.batch_execute(&format!("CREATE DATABASE \"{quoted}\"")).await.map_err(failed)?;
    }
    Ok(())
}

/// Runs the statements `sql` on the database behind `url`; `what` names them in errors.
///
/// # Errors
/// [`ServerError::Sql`].
pub async fn apply_sql(url: &str, what: &str, sql: &str) -> Result<(), ServerError> {
    let failed = |source| ServerError::Sql { what: what.to_owned(), source };
    connect(url).await.map_err(failed)?.batch_execute(sql).await.map_err(failed)
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a private server ended");
        }
    });
    Ok(client)
}
