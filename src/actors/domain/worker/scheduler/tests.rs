//! The scheduler against random events, and the rules one by one.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

const LIMIT: Duration = ms(5_000);
const DEPTH: usize = 16;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A request that knows its number.
#[derive(Debug, Clone)]
struct Numbered(u32, Rc<Cell<bool>>);

impl Request for Numbered {
    fn is_abandoned(&self) -> bool {
        self.1.get()
    }
}

const ROOM: Supply = Supply { has_room: true, is_contended: false, has_slow_place: true };

fn pending(number: u32, now: Instant, latest: Duration, deadline: Duration, work: Duration) -> Pending<Numbered> {
    Pending {
        request: Numbered(number, Rc::default()),
        dispatch: Dispatch::Together,
        latest: now + latest,
        deadline: now + deadline,
        work,
        in_bulk: false,
        place: 0,
    }
}

fn plain(number: u32, now: Instant) -> Pending<Numbered> {
    pending(number, now, ms(1_000), ms(2_000), ms(1_000))
}

/// A scheduler with one connection, for which the queries of `keys` have taken so long.
fn warm(now: Instant, keys: &[(Key, Duration)]) -> (Scheduler<Numbered>, Id) {
    let mut scheduler = Scheduler::new(LIMIT, DEPTH);
    scheduler.usual.observe(ms(1));
    for (key, took) in keys {
        scheduler.latencies.entry(*key).or_default().observe(*took);
    }
    let connection = scheduler.opened(now);
    (scheduler, connection)
}

fn steps(scheduler: &mut Scheduler<Numbered>, now: Instant, supply: Supply) -> Vec<Step> {
    std::iter::from_fn(|| scheduler.next(now, supply)).collect()
}

fn members(scheduler: &Scheduler<Numbered>, step: &Step) -> Vec<u32> {
    let Step::Send { statement, .. } = step else { return Vec::new() };
    let sent = scheduler.statement(*statement).expect("in flight");
    sent.members.iter().map(|member| member.request.0).collect()
}

#[test]
fn a_few_statements_are_pipelined_and_what_waits_behind_them_goes_together() {
    let now = Instant::now();
    let (mut scheduler, connection) = warm(now, &[(1, ms(1)), (2, ms(1))]);
    for number in 0..3 {
        scheduler.push(1, plain(number, now), now);
        assert_eq!(steps(&mut scheduler, now, Supply::default()).len(), 1, "{number}");
    }
    for number in 3..10 {
        scheduler.push(1, plain(number, now), now);
        assert_eq!(steps(&mut scheduler, now, Supply::default()), []);
    }
    scheduler.push(2, plain(10, now), now);
    let others = steps(&mut scheduler, now, Supply::default());
    assert_eq!(members(&scheduler, &others[0]), [10], "another query does not wait for them");
    let first = scheduler.connections[0].in_flight[0].id;
    assert_eq!(scheduler.answered(first, true, now + ms(1)).map(|sent| sent.members.len()), Some(1));
    let sent = steps(&mut scheduler, now + ms(1), Supply::default());
    assert_eq!(members(&scheduler, &sent[0]), (3..10).collect::<Vec<_>>());
    assert!(matches!(sent[0], Step::Send { connection: over, .. } if over == connection));
}

#[test]
fn a_query_is_timed_once_before_others_like_it_are_sent() {
    let now = Instant::now();
    let (mut scheduler, _) = warm(now, &[]);
    for number in 0..5 {
        scheduler.push(1, plain(number, now), now);
    }
    let sent = steps(&mut scheduler, now, ROOM);
    assert_eq!(sent.len(), 1);
    assert_eq!(members(&scheduler, &sent[0]), [0]);
    // It takes longer than a moment: it may be slow, and the others have connections of their own.
    let later = now + ms(200);
    let opened: Vec<_> = steps(&mut scheduler, later, ROOM).into_iter().filter(|step| *step == Step::Open).collect();
    assert_eq!(opened.len(), OPENING);
    // It was quick: they go together.
    let Step::Send { statement, .. } = sent[0] else { panic!("{sent:?}") };
    assert!(scheduler.answered(statement, true, now + ms(1)).is_some());
    let sent = steps(&mut scheduler, now + ms(1), ROOM);
    assert_eq!(members(&scheduler, &sent[0]), [1, 2, 3, 4]);
}

#[test]
fn the_queue_holds_each_node_once_however_many_queries_wait_and_nodes_take_turns() {
    let now = Instant::now();
    let (mut scheduler, _) = warm(now, &[(1, ms(1)), (2, ms(1))]);
    for number in 0..100 {
        scheduler.push(1 + number as usize % 2, plain(number, now), now);
    }
    assert_eq!(scheduler.queue.len(), 2);
    let sent = steps(&mut scheduler, now, Supply::default());
    let sent: Vec<Vec<u32>> = sent.iter().map(|step| members(&scheduler, step)).collect();
    // Twenty queries of 1 ms each go together.
    let of_node = |node, from: u32| (from..from + 20).map(|place| place * 2 + node).collect::<Vec<_>>();
    assert_eq!(sent[..4], [of_node(0, 0), of_node(1, 0), of_node(0, 20), of_node(1, 20)]);
}

#[test]
fn slow_statements_have_connections_of_their_own_and_leave_one_to_quick_ones() {
    let now = Instant::now();
    let (mut scheduler, first) = warm(now, &[(1, ms(1)), (2, ms(500))]);
    for number in 0..3 {
        scheduler.push(2, plain(number, now), now);
    }
    assert_eq!(steps(&mut scheduler, now, ROOM), [Step::Open; OPENING]);
    let second = scheduler.opened(now);
    let sent = steps(&mut scheduler, now, ROOM);
    assert!(matches!(sent[..], [Step::Send { connection, .. }, Step::Open] if [first, second].contains(&connection)));
    scheduler.push(1, plain(9, now), now);
    let sent = steps(&mut scheduler, now, Supply::default());
    assert_eq!(members(&scheduler, &sent[0]), [9]);
    let without_place = Supply { has_slow_place: false, ..ROOM };
    scheduler.opened(now);
    assert_eq!(steps(&mut scheduler, now, without_place), [], "there is no place for another slow statement");
}

#[test]
fn a_statement_behind_a_stalled_one_is_sent_again_once_others_are_answered() {
    let now = Instant::now();
    let (mut scheduler, first) = warm(now, &[(1, ms(1)), (2, ms(1))]);
    scheduler.push(1, plain(0, now), now);
    scheduler.push(2, plain(1, now), now);
    assert_eq!(steps(&mut scheduler, now, Supply::default()).len(), 2);
    let second = scheduler.opened(now);
    let later = now + ms(100);
    assert!(scheduler.tick(later).abandoned.is_empty(), "no connection is answered: the server is slow");
    scheduler.push(1, plain(2, later), later);
    let sent = steps(&mut scheduler, later, Supply::default());
    assert!(matches!(sent[..], [Step::Send { connection, .. }] if connection == second), "{sent:?}");
    let Step::Send { statement, .. } = sent[0] else { panic!("{sent:?}") };
    assert!(scheduler.answered(statement, true, later + ms(1)).is_some());
    assert_eq!(scheduler.tick(later + ms(2)).abandoned.len(), 1);
    let again = steps(&mut scheduler, later + ms(2), Supply::default());
    assert_eq!(members(&scheduler, &again[0]), [1]);
    assert!(scheduler.connections.iter().any(|connection| connection.id == first && connection.is_retired));
}

#[test]
fn a_query_that_leaves_a_statement_does_not_move_the_rows_of_the_others() {
    let now = Instant::now();
    let (mut scheduler, _) = warm(now, &[(1, ms(1))]);
    for number in 0..4 {
        // The second is late before the statement is answered.
        let work = if number == 1 { ms(20) } else { ms(1_000) };
        scheduler.push(1, pending(number, now, ms(1_000), ms(2_000), work), now);
    }
    let sent = steps(&mut scheduler, now, Supply::default());
    let Step::Send { statement, .. } = sent[0] else { panic!("{sent:?}") };
    scheduler.statement(statement).expect("in flight").members[0].request.1.set(true);
    assert_eq!(scheduler.tick(now + ms(21)).unanswered.len(), 1);
    let answered = scheduler.answered(statement, true, now + ms(22)).expect("two wait");
    let places: Vec<(u32, usize)> = answered.members.iter().map(|member| (member.request.0, member.place)).collect();
    assert_eq!((places, answered.size), (vec![(2, 2), (3, 3)], 4));
}

#[test]
fn single_requests_go_before_batches_at_every_other_statement() {
    let now = Instant::now();
    let (mut scheduler, _) = warm(now, &(1..=40).map(|key| (key, ms(1))).collect::<Vec<_>>());
    for (key, number) in (1..=30).zip(1..) {
        scheduler.push(key, Pending { in_bulk: true, ..plain(number, now) }, now);
    }
    for (key, number) in (31..=34).zip(31..) {
        scheduler.push(key, plain(number, now), now);
    }
    let sent = steps(&mut scheduler, now, Supply::default());
    let order: Vec<u32> = sent.iter().flat_map(|step| members(&scheduler, step)).collect();
    assert_eq!(order[..8], [31, 1, 32, 2, 33, 3, 34, 4]);
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Event {
    Push { key: Key, latest: u64, work: u64, in_bulk: bool },
    Open(bool),
    Answer { which: usize, again: Option<bool> },
    Retire(usize),
    Abandon(u32),
    Pass(u64),
    Clear,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..4, 1u64..200, 1u64..8_000, any::<bool>())
            .prop_map(|(key, latest, work, in_bulk)| Event::Push { key, latest, work, in_bulk }),
        3 => any::<bool>().prop_map(Event::Open),
        6 => (0usize..20, prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(which, again)| Event::Answer { which, again }),
        1 => (0usize..5).prop_map(Event::Retire),
        1 => (0u32..60).prop_map(Event::Abandon),
        4 => (0u64..80).prop_map(Event::Pass),
        1 => Just(Event::Clear),
    ]
}

/// A scheduler, what it was asked, and what became of it.
struct World {
    scheduler: Scheduler<Numbered>,
    now: Instant,
    asked: HashMap<u32, (Rc<Cell<bool>>, Instant, Duration)>,
    sent: HashMap<u32, Instant>,
    back: HashMap<u32, usize>,
    opening: usize,
    in_flight: Vec<(Id, Id)>,
    /// By statement: the queries that it was sent for, in the order of their rows.
    rows: HashMap<Id, Vec<u32>>,
    connections: Vec<Id>,
}

impl World {
    fn new() -> Self {
        let (scheduler, now) = (Scheduler::new(LIMIT, DEPTH), Instant::now());
        let (asked, sent, back) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self {
            scheduler,
            now,
            asked,
            sent,
            back,
            opening: 0,
            in_flight: Vec::new(),
            rows: HashMap::new(),
            connections: Vec::new(),
        }
    }

    fn hand_back(&mut self, request: &Numbered) {
        *self.back.entry(request.0).or_default() += 1;
    }

    fn follow(&mut self) {
        loop {
            let supply = Supply { has_room: self.connections.len() + self.opening < 4, ..ROOM };
            let Some(step) = self.scheduler.next(self.now, supply) else { break };
            match step {
                Step::Open => self.opening += 1,
                Step::Close(connection) => {
                    assert!(self.in_flight.iter().all(|(_, over)| *over != connection), "closed under a statement");
                    self.connections.retain(|known| *known != connection);
                }
                Step::Send { statement, connection } => {
                    assert!(self.connections.contains(&connection));
                    let sent = self.scheduler.statement(statement).expect("in flight");
                    let key = sent.key;
                    for member in &sent.members {
                        self.sent.insert(member.request.0, self.now);
                        assert!(member.request.0 as usize % 4 == key, "a member of another query");
                    }
                    self.in_flight.push((statement, connection));
                    self.rows.insert(statement, sent.members.iter().map(|member| member.request.0).collect());
                    let over = self.in_flight.iter().filter(|(_, over)| *over == connection).count();
                    assert!(over <= DEPTH);
                }
            }
            assert!(self.connections.len() + self.opening <= 4 + 1);
        }
    }

    fn tick(&mut self) {
        let overdue = self.scheduler.tick(self.now);
        for request in &overdue.unsent {
            self.hand_back(request);
        }
        for (request, _) in &overdue.unanswered {
            self.hand_back(request);
        }
        self.in_flight.retain(|(id, _)| overdue.abandoned.iter().all(|gone| gone != id));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Push { key, latest, work, in_bulk } => {
                let number = u32::try_from(self.asked.len() * 4 + key).unwrap();
                let pending = pending(number, self.now, ms(latest), ms(latest + work), ms(work));
                self.asked.insert(number, (Rc::clone(&pending.request.1), self.now + ms(latest + work), ms(work)));
                self.scheduler.push(key, Pending { in_bulk, ..pending }, self.now);
            }
            Event::Open(opens) if self.opening > 0 && (!opens || self.connections.len() < 4) => {
                self.opening -= 1;
                if opens {
                    let id = self.scheduler.opened(self.now);
                    self.connections.push(id);
                } else {
                    let refused = self.scheduler.not_opened(false);
                    refused.iter().for_each(|request| self.hand_back(request));
                }
            }
            Event::Answer { which, again } if !self.in_flight.is_empty() => {
                let (statement, _) = self.in_flight.remove(which % self.in_flight.len());
                let Some(sent) = self.scheduler.answered(statement, true, self.now) else { return };
                for member in &sent.members {
                    assert_eq!(self.rows[&statement][member.place], member.request.0, "the rows of another query");
                }
                match again {
                    None => sent.members.iter().for_each(|member| self.hand_back(&member.request)),
                    Some(singly) => {
                        let dispatch = if singly { Dispatch::Singly } else { Dispatch::Exclusively };
                        self.scheduler.again(sent.key, sent.members, dispatch, self.now);
                    }
                }
            }
            Event::Retire(which) if !self.connections.is_empty() => {
                self.scheduler.retire(self.connections[which % self.connections.len()]);
            }
            Event::Abandon(which) => {
                if let Some((gone, ..)) = self.asked.get(&which) {
                    gone.set(true);
                }
            }
            Event::Pass(milliseconds) => {
                let until = self.now + ms(milliseconds);
                while let Some(alarm) = self.scheduler.alarm().filter(|alarm| *alarm <= until) {
                    self.now = self.now.max(alarm);
                    self.tick();
                    self.follow();
                }
                self.now = until;
            }
            Event::Clear => {
                let (requests, _) = self.scheduler.clear();
                requests.iter().for_each(|request| self.hand_back(request));
                self.in_flight.clear();
            }
            _ => {}
        }
        self.follow();
        for (number, (gone, deadline, _)) in &self.asked {
            assert!(
                gone.get() || self.back.contains_key(number) || self.now <= *deadline,
                "{number} is late at {:?}: {:?}",
                self.now,
                self.scheduler
            );
        }
    }
}

proptest! {
    #[test]
    fn every_query_is_handed_back_exactly_once_by_its_deadline(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.happen(Event::Pass(60_000));
        for (number, (gone, ..)) in &world.asked {
            let times = world.back.get(number).copied().unwrap_or(0);
            assert!(times == 1 || (times == 0 && gone.get()), "{number} was handed back {times} times");
        }
        prop_assert!(world.scheduler.is_idle());
        prop_assert_eq!(world.scheduler.alarm(), None);
    }
}
