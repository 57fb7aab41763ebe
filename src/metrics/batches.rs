//! How many queries statements stand for, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most queries of each size class; the last is the most that go together.
const BOUNDS: [usize; 8] = [2, 4, 8, 16, 32, 64, 128, 256];

/// Counts of the statements that stood for several queries, by how many.
#[derive(Debug, Default)]
pub struct Batches {
    sizes: [AtomicU64; BOUNDS.len()],
    queries: AtomicU64,
    uncoalesced: AtomicU64,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    /// The most queries of a class, and its statements.
    pub sizes: [(usize, u64); BOUNDS.len()],
    /// The queries of all of them.
    pub queries: u64,
    /// Queries that were asked one by one because the statement for several had been refused.
    pub uncoalesced: u64,
}

impl Batches {
    /// A statement stood for `count` queries.
    pub fn add(&self, count: usize) {
        let class = BOUNDS.iter().position(|bound| count <= *bound).unwrap_or(BOUNDS.len() - 1);
        if let Some(size) = self.sizes.get(class) {
            size.fetch_add(1, Ordering::Relaxed);
        }
        self.queries.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// So many queries are asked one by one because the statement for several was refused.
    pub fn add_uncoalesced(&self, count: usize) {
        self.uncoalesced.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counts(&self) -> BatchCounts {
        let (queries, uncoalesced) = (self.queries.load(Ordering::Relaxed), self.uncoalesced.load(Ordering::Relaxed));
        let mut counts = BatchCounts { queries, uncoalesced, ..BatchCounts::default() };
        for ((class, bound), size) in counts.sizes.iter_mut().zip(BOUNDS).zip(&self.sizes) {
            *class = (bound, size.load(Ordering::Relaxed));
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_counts_in_its_class() {
        let batches = Batches::default();
        for count in [2, 3, 4, 5, 64, 256] {
            batches.add(count);
        }
        let counts = batches.counts();
        assert_eq!(counts.sizes, [(2, 1), (4, 2), (8, 1), (16, 0), (32, 0), (64, 1), (128, 0), (256, 1)]);
        assert_eq!(counts.queries, 334);
    }
}
