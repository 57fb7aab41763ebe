//! What a good programmer would write by hand for this one decision: actix-web, a deadpool a database, a prepared query
//! each, joined, the rules in Rust. It has no deadlines, no retries, no explanation, no graph to change: the price of those is
//! what the comparison shows.
//!
//! It comes in two habits: a statement prepared once a connection, and the text of the query given to each call, as the first
//! examples of tokio-postgres do, which prepares it each time. [`crate::pinned`] makes the same decision over connections
//! that belong to a worker. [`serve_stock`] serves the growing flow of [`crate::growth`] in the same way.

use std::path::Path;
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio_postgres::{Config, Error, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::growth;

/// The variable of the environment with the file of the certificate that all servers have, if they have TLS.
pub const CERTIFICATE: &str = "RIVAL_CERTIFICATE";
/// Connections a database, as the service has by default.
const CONNECTIONS: usize = 20;

#[derive(Clone)]
struct Pools {
    domains: [Pool; 4],
    prepares: Prepares,
    writes: Writes,
}

/// What is written of a decision that orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing.
    Nothing,
    /// The order, in a transaction, as often as it is asked for.
    Order,
    /// The order, its event, and the answer with the key of the request, in a transaction, once for a key. The events of a product are in
    /// the order of commit.
    OrderOnce,
}

/// How often a statement is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepares {
    /// Once a connection.
    Once,
    /// For each query.
    Always,
}

/// The body of a request.
#[derive(Deserialize)]
pub struct Input {
    /// The product to decide about.
    pub product_id: String,
}

/// One query for each database.
pub const QUERIES: [&str; 4] = [
    "SELECT avg_daily_demand::float8, trend FROM oms_history WHERE product_id = $1",
    "SELECT available_qty::float8 FROM inventory WHERE product_id = $1",
    "SELECT supplier_name, unit_price::float8, moq::float8, lead_time FROM suppliers WHERE product_id = $1",
    "SELECT from_uom FROM uom_conversions WHERE product_id = $1",
];

/// A row that one of [`QUERIES`] found, and the index of that query's first column in it.
pub struct Found {
    /// The row.
    pub row: Row,
    /// Where the columns of the query begin.
    pub first: usize,
}

/// Serves at `address`, on the databases at these URLs.
pub fn serve(address: &str, urls: &[String], (prepares, writes): (Prepares, Writes)) {
    let domains: Vec<Pool> = urls.iter().map(|url| pool(url)).collect();
    let domains = Pools { domains: domains.try_into().expect("four databases"), prepares, writes };
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                App::new().app_data(web::Data::new(domains.clone())).route("/purchasing/flow", web::post().to(decide))
            });
            server.bind(address)?.run().await
        })
        .expect("it serves");
}

/// Serves the growing flow at `address`, with one query to each of the databases at these URLs.
pub fn serve_stock(address: &str, urls: &[String]) {
    let domains: Vec<Pool> = urls.iter().map(|url| pool(url)).collect();
    actix_web::rt::System::new()
        .block_on(async move {
            let server = HttpServer::new(move || {
                App::new().app_data(web::Data::new(domains.clone())).route("/flows/growth", web::post().to(stock))
            });
            server.bind(address)?.run().await
        })
        .expect("it serves");
}

async fn stock(domains: web::Data<Vec<Pool>>, input: web::Json<Input>) -> HttpResponse {
    let asked = domains.iter().map(|pool| ask(pool, growth::QUERY, &input.product_id, Prepares::Once));
    match futures_util::future::try_join_all(asked).await {
        Ok(found) => HttpResponse::Ok().json(json!({ "status": "done", "found": found[0].row.get::<_, i32>(1) })),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

fn pool(url: &str) -> Pool {
    let config: Config = url.parse().expect("a URL");
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match std::env::var_os(CERTIFICATE) {
        Some(file) => Manager::from_config(config, tls(Path::new(&file)), recycling),
        None => Manager::from_config(config, NoTls, recycling),
    };
    Pool::builder(manager).max_size(CONNECTIONS).build().expect("a pool")
}

fn tls(certificate: &Path) -> MakeRustlsConnect {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("one that can be trusted");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

async fn ask(pool: &Pool, query: &str, product: &str, prepares: Prepares) -> Result<Found, Error> {
    let client = pool.get().await.expect("a connection");
    let row = if prepares == Prepares::Always {
        client.query_one(query, &[&product]).await?
    } else {
        let statement = client.prepare_cached(query).await?;
        client.query_one(&statement, &[&product]).await?
    };
    Ok(Found { row, first: 0 })
}

async fn decide(domains: web::Data<Pools>, input: web::Json<Input>, request: HttpRequest) -> HttpResponse {
    let ([oms, inventory, supplier, uom], prepares) = (&domains.domains, domains.prepares);
    let [a, b, c, d] = QUERIES;
    let product = &input.product_id;
    let asked = futures_util::future::try_join4(
        ask(oms, a, product, prepares),
        ask(inventory, b, product, prepares),
        ask(supplier, c, product, prepares),
        ask(uom, d, product, prepares),
    );
    let key = request.headers().get("Idempotency-Key").and_then(|key| key.to_str().ok());
    let key = key.filter(|_| domains.writes == Writes::OrderOnce);
    let stored = async {
        match key {
            Some(key) => find(&domains.domains[0], key).await,
            None => Ok(None),
        }
    };
    let Ok((stored, (oms, inventory, supplier, uom))) = futures_util::future::try_join(stored, asked).await else {
        return HttpResponse::InternalServerError().finish();
    };
    if let Some(answer) = stored {
        return HttpResponse::Ok().content_type("application/json").body(answer);
    }
    let mut decision = decide_order(product, &[oms, inventory, supplier, uom]);
    if domains.writes != Writes::Nothing
        && decision.get("purchase_order").is_some()
        && place(&domains.domains[0], &mut decision, key).await.is_err()
    {
        return HttpResponse::InternalServerError().finish();
    }
    HttpResponse::Ok().json(decision)
}

const FIND: &str = "SELECT answer FROM tributary_keys WHERE caller = 'hand' AND flow = 'purchasing' AND key = $1";
const CLAIM: &str = "INSERT INTO tributary_keys (caller, flow, key, inputs, decision, status, answer, effect, expires_at) \
                     VALUES ('hand', 'purchasing', $1, $2, gen_random_uuid(), 200, $3, 'place_order', now() + interval '1 day')";
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('purchase_order ' || $1::text, 1))";
const ANNOUNCE: &str = "INSERT INTO tributary_outbox (id, aggregatetype, aggregateid, type, payload) \
                        VALUES (gen_random_uuid(), 'purchase_order', $1, 'purchase_order.placed', $2::text::jsonb)";

/// The answer that a key got before.
async fn find(pool: &Pool, key: &str) -> Result<Option<String>, Error> {
    let client = pool.get().await.expect("a connection");
    let statement = client.prepare_cached(FIND).await?;
    Ok(client.query_opt(&statement, &[&key]).await?.map(|row| row.get(0)))
}

const INSERT: &str = "INSERT INTO purchase_orders (product_id, supplier_name, order_qty, order_unit, unit_price, total_cost, \
                      discount_amount, final_amount, tax_amount, grand_total, approval_status, expected_delivery_date) \
                      VALUES ($1, $2, $3::float8, $4, $5::float8, $6::float8, $7::float8, $8::float8, $9::float8, $10::float8, $11, \
                      CURRENT_DATE + 7) RETURNING po_number";

/// Inserts the order of a decision, and adds its number. With a key, its event and the answer are inserted, too.
async fn place(pool: &Pool, decision: &mut Json, key: Option<&str>) -> Result<(), Error> {
    let mut client = pool.get().await.expect("a connection");
    let statement = client.prepare_cached(INSERT).await?;
    let order = &decision["purchase_order"];
    let text = |name: &str| order[name].as_str().unwrap_or_default();
    let number = |name: &str| order[name].as_f64().unwrap_or_default();
    let texts = ["product_id", "supplier_name", "order_unit", "approval_status"].map(text);
    let numbers =
        ["order_qty", "unit_price", "total_cost", "discount_amount", "final_amount", "tax_amount", "grand_total"]
            .map(number);
    let [product, supplier, unit, approval] = &texts;
    let [quantity, price, total, discount, remaining, tax, grand_total] = &numbers;
    let transaction = client.transaction().await?;
    let row = transaction
        .query_one(
            &statement,
            &[product, supplier, quantity, unit, price, total, discount, remaining, tax, grand_total, approval],
        )
        .await?;
    let product = order["product_id"].as_str().unwrap_or_default().to_owned();
    decision["purchase_order"]["po_number"] = row.get::<_, String>(0).into();
    if let Some(key) = key {
        let statements = [LOCK, ANNOUNCE, CLAIM].map(|text| transaction.prepare_cached(text));
        let statements = futures_util::future::try_join_all(statements).await?;
        let (answer, event) = (decision.to_string(), decision["purchase_order"].to_string());
        // They are sent together, in this order.
        futures_util::future::try_join3(
            transaction.query_one(&statements[0], &[&product]),
            transaction.execute(&statements[1], &[&product, &event]),
            transaction.execute(&statements[2], &[&key, &product, &answer]),
        )
        .await?;
    }
    transaction.commit().await
}

/// The answer with the decision about a product, from what the queries found.
pub fn decision(product: &str, found: &[Found; 4]) -> HttpResponse {
    HttpResponse::Ok().json(decide_order(product, found))
}

fn decide_order(product: &str, [oms, inventory, supplier, uom]: &[Found; 4]) -> Json {
    let (demand, trend): (f64, &str) = (oms.row.get(oms.first), oms.row.get(oms.first + 1));
    let available: f64 = inventory.row.get(inventory.first);
    let (row, first) = (&supplier.row, supplier.first);
    let (name, price, moq, lead_time): (&str, f64, f64, i32) =
        (row.get(first), row.get(first + 1), row.get(first + 2), row.get(first + 3));
    let unit: &str = uom.row.get(uom.first);
    let required = demand * f64::from(lead_time);
    let shortage = required - available;
    if shortage <= 0.0 {
        return json!({ "status": "no_order", "required_qty": required, "available_qty": available });
    }
    let quantity = shortage.max(moq);
    let total = quantity * price;
    let discount = if total >= 50_000.0 { total * 0.1 } else { 0.0 };
    let remaining = total - discount;
    let tax = remaining * 0.08;
    let approval = if total > 10_000.0 { "pending" } else { "auto_approved" };
    json!({ "status": "success", "purchase_order": {
        "product_id": product, "order_qty": quantity, "order_unit": unit, "supplier_name": name, "unit_price": price,
        "total_cost": total, "discount_amount": discount, "final_amount": remaining, "tax_amount": tax,
        "grand_total": remaining + tax, "approval_status": approval, "demand_trend": trend, "required_qty": required,
        "available_qty": available, "shortage": shortage,
    } })
}
