//! The coordinators of all workers, among which the decisions of a batch are distributed.
//!
//! A single request is decided by the worker of its connection. A batch would occupy that worker and leave the others idle, so
//! its decisions are distributed. Adjacent decisions go to the same worker, which coalesces their queries.

use std::sync::Arc;

use actix::Addr;
use arc_swap::ArcSwap;

use super::actor::Coordinator;

/// The number of adjacent decisions of a batch on the same worker: half of the usual window, which is what starts at once.
const ADJACENT: usize = 128;

/// The coordinators of all workers. Cheap to clone; clones share the coordinators.
#[derive(Clone, Default)]
pub struct CoordinatorPool(Arc<ArcSwap<Vec<Addr<Coordinator>>>>);

impl CoordinatorPool {
    /// Adds a coordinator, and removes those whose workers have ended.
    pub(super) fn join(&self, coordinator: &Addr<Coordinator>) {
        self.0.rcu(|pool| {
            let connected = pool.iter().filter(|member| member.connected());
            connected.chain([coordinator]).cloned().collect::<Vec<_>>()
        });
    }

    /// The coordinator of the `index`th decision of a batch. `None` where its worker has ended.
    pub(super) fn get(&self, index: usize) -> Option<Addr<Coordinator>> {
        let pool = self.0.load();
        let member = (index / ADJACENT).checked_rem(pool.len())?;
        pool.get(member).filter(|member| member.connected()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Arbiter};

    use super::*;
    use crate::actors::rules::QuickRulesHandle;

    async fn on_new_thread() -> (Arbiter, Addr<Coordinator>) {
        let (arbiter, (sender, started)) = (Arbiter::new(), tokio::sync::oneshot::channel());
        arbiter.spawn_fn(|| {
            let coordinator = Coordinator { quick: QuickRulesHandle::start() };
            drop(sender.send(coordinator.start()));
        });
        (arbiter, started.await.expect("it starts"))
    }

    #[actix::test]
    async fn adjacent_decisions_go_to_the_same_worker_and_all_workers_get_some() {
        let pool = CoordinatorPool::default();
        assert_eq!(pool.get(0), None);
        let threads = [on_new_thread().await, on_new_thread().await];
        for (_, coordinator) in &threads {
            pool.join(coordinator);
        }
        for batch in 0..6 {
            for index in [0, 1, ADJACENT - 1] {
                assert_eq!(pool.get(batch * ADJACENT + index).as_ref(), Some(&threads[batch % 2].1));
            }
        }
    }

    #[actix::test]
    async fn a_coordinator_whose_worker_has_ended_is_skipped_and_replaced() {
        let pool = CoordinatorPool::default();
        let (arbiter, ended) = on_new_thread().await;
        pool.join(&ended);
        arbiter.stop();
        arbiter.join().expect("the thread ends");
        assert_eq!(pool.get(0), None);
        let (_thread, next) = on_new_thread().await;
        pool.join(&next);
        assert_eq!(pool.get(0), Some(next));
    }
}
