//! The coordinators of all workers, among whom the decisions of a batch are shared out.
//!
//! A request is decided by the worker that its connection belongs to. A batch would keep that one busy and leave the others
//! idle, so its decisions go to all of them in turn: neighbours to the same one, since those ask their databases together.

use std::sync::Arc;

use actix::Addr;
use arc_swap::ArcSwap;

use super::actor::Coordinator;

/// So many neighbours of a batch are decided by the same worker: half of the window that is usual, which is what begins at once.
const NEIGHBOURS: usize = 128;

/// The coordinators of all workers. Cheap to clone: clones share them.
#[derive(Clone, Default)]
pub struct CoordinatorPool(Arc<ArcSwap<Vec<Addr<Coordinator>>>>);

impl CoordinatorPool {
    /// Adds one, and removes those whose workers have ended.
    pub(super) fn join(&self, coordinator: &Addr<Coordinator>) {
        self.0.rcu(|pool| {
            let there = pool.iter().filter(|member| member.connected());
            there.chain([coordinator]).cloned().collect::<Vec<_>>()
        });
    }

    /// The coordinator of the `index`th decision of a batch. `None` where its worker has ended.
    pub(super) fn get(&self, index: usize) -> Option<Addr<Coordinator>> {
        let pool = self.0.load();
        let turn = (index / NEIGHBOURS).checked_rem(pool.len())?;
        pool.get(turn).filter(|member| member.connected()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Arbiter};

    use super::*;
    use crate::actors::rules::QuickRulesHandle;

    async fn on_a_thread_of_its_own() -> (Arbiter, Addr<Coordinator>) {
        let (arbiter, (sender, started)) = (Arbiter::new(), tokio::sync::oneshot::channel());
        arbiter.spawn_fn(|| {
            let coordinator = Coordinator { quick: QuickRulesHandle::start() };
            drop(sender.send(coordinator.start()));
        });
        (arbiter, started.await.expect("it starts"))
    }

    #[actix::test]
    async fn neighbours_go_to_the_same_worker_and_all_workers_get_their_share() {
        let pool = CoordinatorPool::default();
        assert_eq!(pool.get(0), None);
        let threads = [on_a_thread_of_its_own().await, on_a_thread_of_its_own().await];
        for (_, coordinator) in &threads {
            pool.join(coordinator);
        }
        for batch in 0..6 {
            for index in [0, 1, NEIGHBOURS - 1] {
                assert_eq!(pool.get(batch * NEIGHBOURS + index).as_ref(), Some(&threads[batch % 2].1));
            }
        }
    }

    #[actix::test]
    async fn one_whose_worker_has_ended_gets_nothing_and_makes_room_for_the_next() {
        let pool = CoordinatorPool::default();
        let (ended, gone) = on_a_thread_of_its_own().await;
        pool.join(&gone);
        ended.stop();
        ended.join().expect("the thread ends");
        assert_eq!(pool.get(0), None);
        let (_thread, next) = on_a_thread_of_its_own().await;
        pool.join(&next);
        assert_eq!(pool.get(0), Some(next));
    }
}
