//! What goes wrong with the database that is written.

use std::time::{Duration, Instant};

use rand::Rng;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::site::{Member, Site};
use crate::support::{Fault, connect};

/// Something that goes wrong.
pub struct Mishap {
    /// Its description.
    pub name: &'static str,
    /// What is done.
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Nothing but the kills of the service.
    Nothing,
    /// SIGKILL to all processes of the server, and a start.
    Kill,
    /// SIGSTOP to all processes of the server, and SIGCONT.
    Freeze,
    /// A stop in order, and a start.
    Restart,
    /// All connections are reset, again and again.
    Cut,
    /// All connections are half-closed, again and again.
    HalfClose,
    /// A fault of the network for moments, again and again.
    Moments(Fault),
    /// A fault of the network.
    Network(Fault),
    /// The server ends every session, again and again.
    Terminate,
    /// A table cannot grow.
    Full(&'static str),
    /// The primary is killed, and its replica takes its place.
    FailOver,
    /// The primary is frozen, its replica takes its place, and then the primary goes on for a while.
    SplitBrain,
    /// Packets to the replica are lost, so that COMMIT waits.
    ReplicaSilent,
    /// As before, and all sessions are ended, so that what waits is committed at the primary only. Then the replica takes its place.
    ReplicaSilentThenFailOver,
}

const fn mishap(name: &'static str, action: Action) -> Mishap {
    Mishap { name, action }
}

/// All of them.
pub const MISHAPS: [Mishap; 18] = [
    mishap("nothing else", Action::Nothing),
    mishap("the server is killed and started", Action::Kill),
    mishap("connections are cut within requests", Action::Moments(Fault::CutRequests)),
    mishap("connections are cut within answers", Action::Moments(Fault::CutAnswers)),
    mishap("the server is frozen", Action::Freeze),
    mishap("the primary is killed and its replica promoted", Action::FailOver),
    mishap("connections are reset", Action::Cut),
    mishap("connections are half-closed", Action::HalfClose),
    mishap("every session is ended", Action::Terminate),
    mishap("packets are delayed by 20 ms", Action::Network(Fault::Delay(Duration::from_millis(20)))),
    mishap("the replica is silent, so that COMMIT waits", Action::ReplicaSilent),
    mishap("the frozen primary goes on after its replica's promotion", Action::SplitBrain),
    mishap("the network stalls", Action::Network(Fault::Stall)),
    mishap("all packets are dropped", Action::Network(Fault::DropSilently)),
    mishap("the disk is full: no space for an order", Action::Full("purchase_orders")),
    mishap("the disk is full: no space for an event", Action::Full("tributary_outbox")),
    mishap("the server is restarted", Action::Restart),
    mishap("sessions end at a silent replica, which is promoted", Action::ReplicaSilentThenFailOver),
];

impl Action {
    /// Does it for `time`, and undoes it.
    pub async fn run(self, site: &Site, time: Duration) {
        let (primary, _) = site.roles();
        let Member { server, proxy, stream } = primary;
        match self {
            Self::Nothing => sleep(time).await,
            Self::Kill => {
                block_in_place(|| server.kill_family());
                sleep(time / 2).await;
                block_in_place(|| server.restart().expect("the server starts again"));
                sleep(time / 2).await;
            }
            Self::Freeze => {
                server.freeze();
                sleep(time).await;
                server.thaw();
            }
            Self::Restart => {
                block_in_place(|| server.restart().expect("the server starts again"));
                sleep(time).await;
            }
            Self::Cut => again_and_again(time, async || proxy.cut()).await,
            Self::HalfClose => again_and_again(time, async || proxy.half_close()).await,
            Self::Moments(fault) => {
                again_and_again(time, async || {
                    proxy.set(fault);
                    sleep(Duration::from_millis(8)).await;
                    proxy.set(Fault::None);
                })
                .await;
            }
            Self::Network(fault) => {
                proxy.set(fault);
                sleep(time).await;
                proxy.set(Fault::None);
                // Otherwise the server has not seen the end of the sessions.
                if fault == Fault::DropSilently {
                    proxy.cut();
                }
            }
            Self::Terminate => again_and_again(time, async || terminate(primary).await).await,
            Self::Full(table) => {
                primary.run(&full(table)).await;
                sleep(time).await;
                primary.run(&format!("DROP TRIGGER full_disk ON {table}; DROP FUNCTION full_disk")).await;
            }
            Self::FailOver => {
                block_in_place(|| server.kill_family());
                take_over(site, time).await;
            }
            Self::SplitBrain => {
                server.freeze();
                site.promote().await;
                sleep(time / 2).await;
                server.thaw();
                sleep(time).await;
                block_in_place(|| server.kill_family());
                site.rejoin().await;
            }
            Self::ReplicaSilent => {
                stream.set(Fault::DropSilently);
                sleep(time).await;
                reconnect(primary);
            }
            Self::ReplicaSilentThenFailOver => {
                stream.set(Fault::DropSilently);
                sleep(time / 2).await;
                terminate(primary).await;
                // Time to repeat the requests.
                sleep(time).await;
                block_in_place(|| server.kill_family());
                reconnect(primary);
                take_over(site, time).await;
            }
        }
    }
}

/// Has the replica take the place of the primary, which is dead, and that one become its replica.
async fn take_over(site: &Site, time: Duration) {
    site.promote().await;
    sleep(time).await;
    site.rejoin().await;
}

/// Lets the replica connect again.
fn reconnect(primary: &Member) {
    // In this order: a connection that is made before the fault has ended never gets an answer.
    primary.stream.set(Fault::None);
    primary.stream.cut();
}

/// Repeats `work` at random times.
async fn again_and_again(time: Duration, work: impl AsyncFn()) {
    let start = Instant::now();
    while start.elapsed() < time {
        work().await;
        let pause = rand::rng().random_range(20..150);
        sleep(Duration::from_millis(pause)).await;
    }
}

/// Ends all sessions of the service.
async fn terminate(primary: &Member) {
    let client = connect(&primary.url()).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    client.batch_execute(end).await.expect("the sessions are ended");
}

/// Statements after which most rows of the table are refused with the error of a full disk, raised by a trigger.
fn full(table: &str) -> String {
    format!(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF random() < 0.7 THEN
                 RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
}
