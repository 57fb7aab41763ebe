//! A service under load on servers that are then broken.

use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use crate::faults::Fault;
use crate::load::{Load, Verdict, p95, problems, wrong};
use crate::rig::{Rig, wait_ready};
use crate::support::TestApp;

/// From the server's return to the first right answer: a second to begin, and the answer itself on a busy machine.
const RECOVERY: Duration = Duration::from_millis(1500);
/// What an answer of a flow may take while others fail, 95 of 100 times, in a debug build on a busy machine.
const CALM: Duration = Duration::from_millis(450);
/// Answers to wait for under each fault.
const ENOUGH: usize = 60;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Servers, the service, and its clients. There is only one at a time: two would disturb each other's clocks.
pub struct Trial {
    /// The service.
    pub app: TestApp,
    /// The clients of the purchasing flow.
    pub load: Load,
    unrelated: Load,
    /// The servers.
    pub rig: Rig,
    _alone: MutexGuard<'static, ()>,
}

/// Waits until no other trial runs.
pub async fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

impl Trial {
    /// Starts all, and returns when the service answers.
    pub async fn start() -> Self {
        let alone = alone().await;
        let rig = Rig::start().await;
        let app = TestApp::start(rig.setup());
        wait_ready(&app.client, app.address).await;
        let load = Load::purchasing(&app.client, app.address);
        let unrelated = Load::unrelated(&app.client, app.address);
        let start = Instant::now();
        let first = load.first_right(start).await;
        assert!(first.is_some(), "no right answer: {:?}", load.since(start).first());
        Self { app, load, unrelated, rig, _alone: alone }
    }

    /// Breaks something, looks at what is answered, mends it, and looks again.
    pub async fn suffer(&self, fault: &Fault) {
        let name = fault.name;
        let struck = Instant::now();
        let held = fault.strike(&self.rig).await;
        let broken = Instant::now();
        let codes = |code: &str| fault.codes.contains(&code);
        let seen = self
            .load
            .until(broken, Duration::from_secs(15), |answers| {
                let shown = problems(answers).keys().any(|(code, _)| codes(code));
                answers.len() >= ENOUGH && (fault.passing || shown)
            })
            .await;
        assert!(seen, "{name}: too few answers, or none shows it: {:?}", problems(&self.load.since(broken)));
        fault.mend(&self.rig, held).await;
        let mended = Instant::now();
        let recovery = self.load.first_right(mended).await;
        if recovery.is_none() {
            let health = self.app.get("/health").await.text;
            panic!("{name}: no recovery: {:?}; {health}", problems(&self.load.since(mended)));
        }
        assert!(recovery.is_some_and(|took| took < RECOVERY), "{name}: the first right answer came after {recovery:?}");
        wait_ready(&self.app.client, self.app.address).await;
        self.settle(name).await;
        self.judge(fault, struck);
    }

    /// Waits until all that is asked is answered rightly: nothing of the fault remains.
    async fn settle(&self, name: &str) {
        let start = Instant::now();
        let right = |answers: &[crate::load::Judged]| {
            answers.len() >= ENOUGH && answers.iter().rev().take(ENOUGH).all(|answer| answer.verdict == Verdict::Right)
        };
        let settled = self.load.until(start, Duration::from_secs(10), right).await;
        assert!(settled, "{name}: its traces remain: {:?}", problems(&self.load.since(start)));
    }

    /// No answer since `start` is wrong, or an error that `fault` does not explain; and the other flow did not notice.
    fn judge(&self, fault: &Fault, start: Instant) {
        let name = fault.name;
        let answers = self.load.since(start);
        assert_eq!(wrong(&answers), [""; 0], "{name}");
        for ((code, blames), count) in problems(&answers) {
            let explained = fault.codes.contains(&code.as_str()) && fault.domains().contains(&blames.as_str());
            assert!(explained, "{name}: {count} times {code} blaming {blames}");
        }
        self.others_were_calm(name, start);
    }

    /// The flow that no fault touches saw no error and no latency since `start`.
    pub fn others_were_calm(&self, name: &str, start: Instant) {
        let unrelated = self.unrelated.since(start);
        assert!(!unrelated.is_empty(), "{name}: the unrelated flow was not asked");
        assert_eq!(wrong(&unrelated), [""; 0], "{name}: the unrelated flow noticed");
        assert!(p95(&unrelated) < CALM, "{name}: the unrelated flow took {:?}", p95(&unrelated));
    }

    /// Ends the load; every answer there was is given back.
    pub async fn end(self) -> Vec<crate::load::Judged> {
        let answers = self.load.stop().await;
        self.unrelated.stop().await;
        answers
    }
}
