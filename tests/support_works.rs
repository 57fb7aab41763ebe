//! The tests' own ground: databases of a test's own, private families, and a network that fails on demand.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helping functions too")]

mod support;

use std::time::{Duration, Instant};

use support::{DOMAINS, Database, Fault, PrivateFamily, Proxy, SampleDatabases, connect, eventually, shared_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn each_test_has_sample_databases_of_its_own_that_go_with_it() {
    let (mine, other) = tokio::join!(SampleDatabases::create(), SampleDatabases::create());
    mine.database("oms_db").run("DELETE FROM oms_history").await;
    for (databases, expected) in [(&mine, 0_i64), (&other, 3)] {
        let client = connect(&databases.url("oms_db")).await;
        let row = client.query_one("SELECT count(*) FROM oms_history", &[]).await.expect("the table is there");
        assert_eq!(row.get::<_, i64>(0), expected);
    }
    let variables: Vec<String> = mine.environment().into_iter().map(|(name, _)| name).collect();
    assert_eq!(variables, ["OMS_DB_URL", "INVENTORY_DB_URL", "SUPPLIER_DB_URL", "UOM_DB_URL"]);

    let name = mine.database("uom_db").name().to_owned();
    drop(mine);
    let client = connect(&shared_server().url("postgres")).await;
    let left = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.expect("an answer");
    assert!(left.is_empty());
}

#[tokio::test]
async fn a_database_can_start_with_the_tests_own_tables() {
    let database = Database::with("CREATE TABLE t AS SELECT 7 AS n").await;
    let row = connect(&database.url()).await.query_one("SELECT n FROM t", &[]).await.expect("the row");
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn a_private_family_has_a_server_for_each_domain_and_proxies_before_them() {
    let family = PrivateFamily::start().await;
    for (domain, (name, url)) in DOMAINS.iter().zip(family.environment_through_proxies()) {
        assert_eq!(name, format!("{}_URL", domain.to_uppercase()));
        let row = connect(&url).await.query_one("SHOW port", &[]).await.expect("an answer through the proxy");
        assert_eq!(row.get::<_, String>(0), family.server(domain).port().to_string());
    }
    family.server("uom_db").kill_family();
    assert!(connect(&family.url("oms_db")).await.query_one("SELECT 1", &[]).await.is_ok());
}

/// A proxy to a server that sends back what it gets, and a connection through it.
async fn echo() -> (Proxy, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = Proxy::to(listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("the proxy listens");
    round_trip(&mut client).await.expect("it passes");
    (proxy, client)
}

async fn round_trip(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(b"hello").await?;
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

async fn is_silent(client: &mut TcpStream) -> bool {
    client.write_all(b"hello").await.expect("the near end takes it");
    tokio::time::timeout(SHORT, client.read_u8()).await.is_err()
}

#[tokio::test]
async fn a_stalled_network_is_silent_and_delivers_afterwards() {
    let (proxy, mut client) = echo().await;
    proxy.set(Fault::Stall);
    assert!(is_silent(&mut client).await);
    proxy.set(Fault::None);
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.expect("it was kept");
    round_trip(&mut client).await.expect("it passes again");
}

#[tokio::test]
async fn a_dropping_network_is_silent_and_what_was_sent_is_lost() {
    let (proxy, mut client) = echo().await;
    proxy.set(Fault::DropSilently);
    assert!(is_silent(&mut client).await);
    proxy.set(Fault::None);
    assert!(tokio::time::timeout(SHORT, client.read_u8()).await.is_err(), "it was lost");
    round_trip(&mut client).await.expect("it passes again");
}

#[tokio::test]
async fn a_delaying_network_delivers_late_in_both_directions() {
    let (proxy, mut client) = echo().await;
    proxy.set(Fault::Delay(Duration::from_millis(50)));
    let start = Instant::now();
    round_trip(&mut client).await.expect("it passes");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_cut_resets_existing_connections_and_lets_new_ones_pass() {
    let (proxy, mut client) = echo().await;
    assert_eq!(proxy.connections(), 1);
    proxy.cut();
    let error = client.read_u8().await.expect_err("it was cut");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    eventually("the connection is forgotten", || proxy.connections() == 0);
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("the proxy listens");
    round_trip(&mut client).await.expect("a new connection passes");
}

#[tokio::test]
async fn a_half_close_ends_the_servers_bytes_and_still_takes_the_clients() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = Proxy::to(listener.local_addr().expect("an address").port());
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("the proxy listens");
    let (mut server, _) = listener.accept().await.expect("the proxy connects");
    proxy.half_close();
    assert_eq!(client.read(&mut [0; 8]).await.expect("the end of its bytes"), 0);
    client.write_all(b"hello").await.expect("it is still open towards the server");
    let mut arrived = [0; 5];
    server.read_exact(&mut arrived).await.expect("the client's bytes arrive");
    assert_eq!(&arrived, b"hello");
}

#[tokio::test]
async fn refused_connections_are_reset_while_existing_ones_go_on() {
    let (proxy, mut client) = echo().await;
    proxy.set(Fault::Refuse);
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await;
    let failed = match refused {
        Ok(mut stream) => round_trip(&mut stream).await.is_err(),
        Err(_) => true,
    };
    assert!(failed);
    round_trip(&mut client).await.expect("it goes on");
}
