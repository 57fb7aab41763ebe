//! Samples of the domains for all listeners: once a second, and at once when a state changes.
//!
//! A single task takes the samples, whatever the number of listeners; they share its last line through a watch channel, so
//! that a slow one misses samples and never delays the others. The samples of the last minutes are kept, so that charts
//! begin with a past. While nobody listens, it samples only once a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::recent::Recent;
use crate::actors::domain::{DomainHandle, Health};
use crate::http::Releases;
use crate::metrics::Totals;
use crate::types::{DomainName, FlowName};

/// Between two samples.
const SECOND: Duration = Duration::from_secs(1);
/// The interval of checks for a change, while somebody listens.
const GLANCE: Duration = Duration::from_millis(100);
/// Samples of each domain that are kept.
const KEPT: usize = 120;
/// Listeners at once.
pub(super) const MOST_LISTENERS: usize = 32;

/// What looks at the domains.
pub(super) struct Pulse {
    recent: Arc<Recent>,
    /// The newest event, and whether there will be more.
    latest: watch::Sender<Latest>,
    past: Mutex<BTreeMap<DomainName, VecDeque<Point>>>,
    slots: Arc<Semaphore>,
}

/// The newest event.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest {
    /// How the domains are; null before the first.
    pub(super) domains: Arc<Json>,
    /// The flows.
    pub(super) flows: Arc<Vec<FlowNow>>,
    /// Whether it was the last.
    pub(super) closed: bool,
}

/// How a flow is.
#[derive(Debug)]
pub(super) struct FlowNow {
    pub(super) name: FlowName,
    /// Its versions.
    pub(super) versions: Json,
    /// Its last timings, and when they were taken. Sent only with a sample, because they change often.
    pub(super) last: Option<(Timestamp, Json)>,
}

/// A listener. Frees its slot when dropped.
pub(super) struct Listener {
    pub(super) latest: watch::Receiver<Latest>,
    recent: Arc<Recent>,
    _slot: OwnedSemaphorePermit,
}

/// A moment of a domain, for charts.
#[derive(Debug, Clone, Copy, Serialize)]
struct Point {
    /// Milliseconds since 1970.
    t: i64,
    /// Queries a second.
    rate: f64,
    /// Failed queries a second.
    failed: f64,
    /// Microseconds within which half of the queries ended; null without queries.
    p50_us: Option<u64>,
    /// Microseconds within which 95 of 100 queries ended.
    p95_us: Option<u64>,
    in_use: usize,
    waiting: usize,
}

/// The state of a domain at the last sample, by which a change is detected.
type Condition = (&'static str, u64, Option<Timestamp>);

impl Pulse {
    pub(super) fn start(releases: Releases, recent: Arc<Recent>) -> Arc<Self> {
        let pulse = Arc::new(Self {
            recent,
            latest: watch::Sender::default(),
            past: Mutex::default(),
            slots: Arc::new(Semaphore::new(MOST_LISTENERS)),
        });
        // The task holds nothing that would keep the pulse alive, and ends with it.
        actix_web::rt::spawn(beat(Arc::downgrade(&pulse), releases));
        pulse
    }

    /// Adds a listener, unless there are too many.
    pub(super) fn listen(&self) -> Option<Listener> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        self.recent.listener_joined();
        Some(Listener { latest: self.latest.subscribe(), recent: Arc::clone(&self.recent), _slot: slot })
    }

    /// Ends the streams of all listeners.
    pub(super) fn close(&self) {
        self.latest.send_modify(|latest| latest.closed = true);
    }

    /// The samples of the last minutes, by domain.
    pub(super) fn past(&self) -> Json {
        json!(*self.points())
    }

    fn points(&self) -> MutexGuard<'_, BTreeMap<DomainName, VecDeque<Point>>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.recent.listener_left();
    }
}

/// Looks until the pulse is gone.
async fn beat(pulse: Weak<Pulse>, releases: Releases) {
    let mut watcher = Watcher::default();
    loop {
        let pause = {
            let Some(pulse) = pulse.upgrade() else { return };
            watcher.look(&pulse, &releases);
            if pulse.recent.listeners() > 0 { GLANCE } else { SECOND }
        };
        actix_web::rt::time::sleep(pause).await;
    }
}

/// What the task remembers from one look to the next.
#[derive(Default)]
struct Watcher {
    sampled: Option<Instant>,
    conditions: BTreeMap<DomainName, Condition>,
    totals: BTreeMap<DomainName, Totals>,
    points: BTreeMap<DomainName, Point>,
}

impl Watcher {
    fn look(&mut self, pulse: &Pulse, releases: &Releases) {
        let release = releases.current();
        let domains = release.domains();
        let healths: Vec<Health> = domains.values().map(DomainHandle::health).collect();
        let conditions = healths.iter().map(|health| (health.domain.clone(), condition(health))).collect();
        let is_time = self.sampled.is_none_or(|then| then.elapsed() >= SECOND);
        let changed = self.conditions != conditions;
        if !is_time && !changed {
            return;
        }
        self.conditions = conditions;
        if is_time {
            let passed = self.sampled.replace(Instant::now()).map(|then| then.elapsed());
            self.sample(pulse, domains.values().zip(&healths), passed);
        }
        let domains: Vec<Json> = healths.iter().map(|health| self.describe(health)).collect();
        let flows = release.flows().into_iter().map(|flow| {
            let flow = flow.flow();
            let last = pulse.recent.of(&flow.name).filter(|_| is_time).map(|seen| (seen.at(), json!(seen)));
            let versions = json!({ "graph": flow.graph_hash, "rules": flow.rules_hash });
            FlowNow { name: flow.name.clone(), versions, last }
        });
        let (domains, flows) =
            (json!({ "at": Timestamp::now(), "sample": is_time, "domains": domains }), flows.collect());
        pulse.latest.send_modify(|latest| {
            (latest.domains, latest.flows) = (Arc::new(domains), Arc::new(flows));
        });
    }

    fn sample<'a>(
        &mut self,
        pulse: &Pulse,
        domains: impl Iterator<Item = (&'a DomainHandle, &'a Health)>,
        passed: Option<Duration>,
    ) {
        let now = Timestamp::now().as_millisecond();
        let mut past = pulse.points();
        let mut points = BTreeMap::new();
        for (handle, health) in domains {
            let totals = handle.tally();
            let before = self.totals.insert(health.domain.clone(), totals.clone()).unwrap_or_else(|| totals.clone());
            let point = point(now, health, &totals.since(&before), passed);
            points.insert(health.domain.clone(), point);
            let kept = past.entry(health.domain.clone()).or_default();
            kept.push_back(point);
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
        past.retain(|domain, _| points.contains_key(domain));
        self.totals.retain(|domain, _| points.contains_key(domain));
        self.points = points;
    }

    /// How a domain is, with its last sample.
    fn describe(&self, health: &Health) -> Json {
        let mut answer = json!(health);
        if let (Json::Object(answer), Some(point)) = (&mut answer, self.points.get(&health.domain)) {
            answer.insert("sample".to_owned(), json!(point));
        }
        answer
    }
}

fn condition(health: &Health) -> Condition {
    (health.state.name(), health.restarts, health.last_error.as_ref().map(|error| error.at))
}

fn point(t: i64, health: &Health, since: &Totals, passed: Option<Duration>) -> Point {
    #[expect(clippy::cast_precision_loss, reason = "queries of a second")]
    let a_second = |count: u64| match passed.map(|passed| passed.as_secs_f64()) {
        Some(seconds) if seconds > 0.0 => (count as f64 / seconds * 10.0).round() / 10.0,
        _ => 0.0,
    };
    let micros = |share| since.quantile(share).map(crate::flow::micros);
    Point {
        t,
        rate: a_second(since.asked),
        failed: a_second(since.failed),
        p50_us: micros(50),
        p95_us: micros(95),
        in_use: health.pool.size.saturating_sub(health.pool.idle),
        waiting: health.pool.waiting,
    }
}
