//! Steady load whose every answer is checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

/// A flow with its own database, which no fault affects.
pub const UNRELATED: &str = r#"
flow: unrelated
path: /unrelated
input: { id: { type: integer } }
nodes:
  thing: { type: DBNode, database: calm_db, query: "SELECT name FROM things WHERE id = $1" }
outcomes: [{ status: named, when: "thing.name != null", message: "named", body: { name: thing.name } }]
"#;

/// Clients of the purchasing flow.
pub const CLIENTS: usize = 20;
/// The pause of a client between an answer and its next request.
const PAUSE: Duration = Duration::from_millis(20);
/// The orders of the three products, without `trend` and `expected_delivery_date`, which are checked separately.
const ORDERS: [(&str, &str); 3] = [
    (
        "PROD-001",
        r#"{"product_id":"PROD-001","order_qty":550,"order_unit":"pieces","supplier_name":"ABC Supplies Co.","unit_price":15.50,"total_cost":8525.00,"discount_amount":0.00,"final_amount":8525.00,"tax_amount":682.00,"grand_total":9207.00,"approval_status":"auto_approved","required_qty":1050,"available_qty":500,"shortage":550}"#,
    ),
    (
        "PROD-002",
        r#"{"product_id":"PROD-002","order_qty":827,"order_unit":"kg","supplier_name":"XYZ Manufacturing","unit_price":25.00,"total_cost":20675.00,"discount_amount":0.00,"final_amount":20675.00,"tax_amount":1654.00,"grand_total":22329.00,"approval_status":"pending","required_qty":1127,"available_qty":300,"shortage":827}"#,
    ),
    (
        "PROD-003",
        r#"{"product_id":"PROD-003","order_qty":4050,"order_unit":"liter","supplier_name":"Global Parts Ltd.","unit_price":42.75,"total_cost":173137.50,"discount_amount":17313.75,"final_amount":155823.75,"tax_amount":12465.90,"grand_total":168289.65,"approval_status":"pending","required_qty":4200,"available_qty":150,"shortage":4050}"#,
    ),
];
const TRENDS: [(&str, &str); 3] = [("PROD-001", "increasing"), ("PROD-002", "stable"), ("PROD-003", "decreasing")];

/// The verdict on an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Exactly the answer for the sample data.
    Right,
    /// The same without a trend, which is correct where the column is NULL, since no rule uses it.
    RightWithoutTrend,
    /// A problem that names its cause.
    Problem {
        /// Its stable code.
        code: String,
        /// Its domain. For an error of a rule, the domain of the node that it names.
        blames: String,
    },
    /// Anything else.
    Wrong(String),
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Judged {
    /// When the request was sent.
    pub sent: Instant,
    /// When it was answered.
    pub answered: Instant,
    /// The verdict.
    pub verdict: Verdict,
}

/// Checks an answer about `product`.
pub fn judge(product: &str, status: u16, text: &str) -> Verdict {
    let wrong = || Verdict::Wrong(format!("{product}: {status} {text}"));
    let Ok(answer) = serde_json::from_str::<Json>(text) else { return wrong() };
    if status != 200 {
        return blame(&answer).map_or_else(wrong, |(code, blames)| Verdict::Problem { code, blames });
    }
    let mut order = answer["purchase_order"].clone();
    let Some(fields) = order.as_object_mut() else { return wrong() };
    let delivery = fields.shift_remove("expected_delivery_date");
    let trend = fields.shift_remove("demand_trend").unwrap_or_default();
    let delivered = delivery.and_then(|day| day.as_str()?.parse::<jiff::civil::Date>().ok());
    let expected = ORDERS.iter().find(|(known, _)| *known == product).map(|(_, order)| *order);
    // Compared as text, because the digits matter: 15.50 is not 15.5.
    if answer["status"] != "success" || delivered.is_none() || Some(order.to_string().as_str()) != expected {
        return wrong();
    }
    match trend.as_str() {
        None if trend.is_null() => Verdict::RightWithoutTrend,
        Some(trend) if TRENDS.contains(&(product, trend)) => Verdict::Right,
        _ => wrong(),
    }
}

/// The code of a problem and its domain. An error of a rule has no domain, but names facts of a node.
fn blame(problem: &Json) -> Option<(String, String)> {
    let code = problem["code"].as_str()?.to_owned();
    let blames = match problem["domain"].as_str() {
        Some(domain) => domain.to_owned(),
        None if code == "rule_error" => {
            let detail = problem["detail"].as_str()?;
            let nodes =
                [("oms_history", "oms_db"), ("inventory_levels", "inventory_db"), ("supplier_info", "supplier_db")];
            nodes.iter().find(|(node, _)| detail.contains(&format!("{node}.")))?.1.to_owned()
        }
        None => return None,
    };
    Some((code, blames))
}

/// Clients that send requests until they are stopped.
pub struct Load {
    answers: Arc<Mutex<Vec<Judged>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Twenty clients of the purchasing flow.
    pub fn purchasing(client: &reqwest::Client, address: SocketAddr) -> Self {
        Self::start(CLIENTS, client, address, "/purchasing/flow", |turn| {
            let product = ORDERS[turn % ORDERS.len()].0;
            (json!({ "product_id": product }), Box::new(move |status, text| judge(product, status, text)))
        })
    }

    /// Two clients of the flow that no fault affects.
    pub fn unrelated(client: &reqwest::Client, address: SocketAddr) -> Self {
        Self::start(2, client, address, "/unrelated", |_| {
            let judge = |status, text: &str| match (status, text.contains(r#""name":"calm""#)) {
                (200, true) => Verdict::Right,
                _ => Verdict::Wrong(format!("{status} {text}")),
            };
            (json!({ "id": 1 }), Box::new(judge))
        })
    }

    /// `clients` that send the requests of `ask`, and check each answer with its function.
    pub fn start(
        clients: usize,
        client: &reqwest::Client,
        address: SocketAddr,
        path: &str,
        ask: impl Fn(usize) -> (Json, Box<dyn Fn(u16, &str) -> Verdict + Send>) + Clone + Send + 'static,
    ) -> Self {
        let (answers, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let one = |first: usize| {
            let (answers, stop, client, ask) = (Arc::clone(&answers), Arc::clone(&stop), client.clone(), ask.clone());
            let url = format!("http://{address}{path}");
            tokio::spawn(async move {
                for turn in first.. {
                    let (question, judge) = ask(turn);
                    let sent = Instant::now();
                    let verdict = match post(&client, &url, &question).await {
                        Ok((status, text)) => judge(status, &text),
                        Err(error) => Verdict::Wrong(error.to_string()),
                    };
                    let judged = Judged { sent, answered: Instant::now(), verdict };
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push(judged);
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            })
        };
        let clients = (0..clients).map(one).collect();
        Self { answers, stop, clients }
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Judged>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answers to requests sent since `start`.
    pub fn since(&self, start: Instant) -> Vec<Judged> {
        self.answers().iter().filter(|answer| answer.sent >= start).cloned().collect()
    }

    /// Waits until `enough` holds for the answers to requests sent since `start`, at most for `limit`.
    pub async fn until(&self, start: Instant, limit: Duration, enough: impl Fn(&[Judged]) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !enough(&self.since(start)) {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Waits for a right answer to a request sent since `start`. Returns its time after `start`.
    pub async fn first_right(&self, start: Instant) -> Option<Duration> {
        let right = |answer: &Judged| answer.verdict == Verdict::Right;
        self.until(start, Duration::from_secs(20), |answers| answers.iter().any(right)).await;
        let firsts = self.since(start).into_iter().filter(right).map(|answer| answer.answered.duration_since(start));
        firsts.min()
    }

    /// Stops the clients after their current requests.
    pub async fn stop(self) -> Vec<Judged> {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.expect("a client does not panic");
        }
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn post(client: &reqwest::Client, url: &str, question: &Json) -> reqwest::Result<(u16, String)> {
    let response = client.post(url).json(question).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// The number of problems by code and domain.
pub fn problems(answers: &[Judged]) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for answer in answers {
        if let Verdict::Problem { code, blames } = &answer.verdict {
            *found.entry((code.clone(), blames.clone())).or_default() += 1;
        }
    }
    found
}

/// The answers that were neither right nor a proper problem.
pub fn wrong(answers: &[Judged]) -> Vec<&str> {
    let wrong = answers.iter().filter_map(|answer| match &answer.verdict {
        Verdict::Wrong(what) => Some(what.as_str()),
        _ => None,
    });
    wrong.collect()
}

/// The 95th percentile of the response times.
pub fn p95(answers: &[Judged]) -> Duration {
    let mut times: Vec<_> = answers.iter().map(|answer| answer.answered.duration_since(answer.sent)).collect();
    times.sort();
    times.get(times.len() * 95 / 100).copied().unwrap_or_default()
}
