//! A service under load, into whose servers faults are injected.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use crate::faults::Fault;
use crate::load::{Load, Verdict, p95, problems, wrong};
use crate::rig::{Rig, wait_ready};
use crate::support::TestApp;

/// The longest time from the end of a fault to the first right answer: one second to recover, and a margin for a busy machine.
const RECOVERY: Duration = Duration::from_millis(1500);
/// The limit of the 95th percentile of the unrelated flow, in a debug build on a busy machine.
const UNRELATED_P95: Duration = Duration::from_millis(450);
/// The answers to wait for under each fault.
const ENOUGH: usize = 60;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The servers, the service, and its clients. Only one runs at a time, because two would delay each other.
pub struct Trial {
    /// The service.
    pub app: TestApp,
    /// The clients of the purchasing flow.
    pub load: Load,
    unrelated: Load,
    /// The servers.
    pub rig: Rig,
    _exclusive: MutexGuard<'static, ()>,
}

/// Waits until no other trial runs.
pub async fn exclusive() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

impl Trial {
    /// Starts all, and returns when the service answers.
    pub async fn start() -> Self {
        Self::start_serving(&[]).await
    }

    /// As [`Self::start`], where the domains of `served` are services.
    pub async fn start_serving(served: &'static [&'static str]) -> Self {
        let exclusive = exclusive().await;
        let rig = Rig::start_serving(served).await;
        let app = TestApp::start(rig.setup());
        wait_ready(&app.client, app.address).await;
        let load = Load::purchasing(&app.client, app.address);
        let unrelated = Load::unrelated(&app.client, app.address);
        let start = Instant::now();
        let first = load.first_right(start).await;
        assert!(first.is_some(), "no right answer: {:?}", load.since(start).first());
        Self { app, load, unrelated, rig, _exclusive: exclusive }
    }

    /// Injects a fault, checks the answers, undoes it, and checks the recovery.
    pub async fn run(&self, fault: &Fault) {
        let name = fault.name;
        let started = Instant::now();
        let held = fault.inject(&self.rig).await;
        let injected = Instant::now();
        let codes = |code: &str| fault.codes.contains(&code);
        let seen = self
            .load
            .until(injected, Duration::from_secs(15), |answers| {
                let shown = problems(answers).keys().any(|(code, _)| codes(code));
                answers.len() >= ENOUGH && (fault.transient || shown)
            })
            .await;
        assert!(seen, "{name}: too few answers, or no problem: {:?}", problems(&self.load.since(injected)));
        fault.undo(&self.rig, held).await;
        let undone = Instant::now();
        let recovery = self.load.first_right(undone).await;
        if recovery.is_none() {
            let health = self.app.get("/health").await.text;
            panic!("{name}: no recovery: {:?}; {health}", problems(&self.load.since(undone)));
        }
        assert!(recovery.is_some_and(|took| took < RECOVERY), "{name}: the first right answer came after {recovery:?}");
        wait_ready(&self.app.client, self.app.address).await;
        self.wait_until_right(name).await;
        self.check(fault, started);
    }

    /// Waits until all answers are right again.
    async fn wait_until_right(&self, name: &str) {
        let start = Instant::now();
        let right = |answers: &[crate::load::Judged]| {
            answers.len() >= ENOUGH && answers.iter().rev().take(ENOUGH).all(|answer| answer.verdict == Verdict::Right)
        };
        let all_right = self.load.until(start, Duration::from_secs(10), right).await;
        assert!(all_right, "{name}: not all answers are right: {:?}", problems(&self.load.since(start)));
    }

    /// Checks that no answer since `start` is wrong, that `fault` explains all problems, and that the unrelated flow was unaffected.
    fn check(&self, fault: &Fault, start: Instant) {
        let name = fault.name;
        let answers = self.load.since(start);
        assert_eq!(wrong(&answers), [""; 0], "{name}");
        for ((code, blames), count) in problems(&answers) {
            let explained = fault.codes.contains(&code.as_str()) && fault.domains().contains(&blames.as_str());
            assert!(explained, "{name}: {count} times {code} of {blames}");
        }
        self.check_unrelated(name, start);
    }

    /// Checks that the unrelated flow had no error and no high latency since `start`.
    pub fn check_unrelated(&self, name: &str, start: Instant) {
        let unrelated = self.unrelated.since(start);
        assert!(!unrelated.is_empty(), "{name}: the unrelated flow had no requests");
        assert_eq!(wrong(&unrelated), [""; 0], "{name}: the unrelated flow was affected");
        assert!(p95(&unrelated) < UNRELATED_P95, "{name}: the unrelated flow took {:?}", p95(&unrelated));
    }

    /// Stops the load and returns all answers.
    pub async fn end(self) -> Vec<crate::load::Judged> {
        let answers = self.load.stop().await;
        self.unrelated.stop().await;
        answers
    }
}
