//! An index of the rows of a table by the values of its condition columns.
//!
//! Each column has a segment tree over the positions of its [`Axis`]: a row's positions are a few nodes of the tree, and the rows
//! of a position are those on the way from its leaf to the root. The rows of all columns are intersected as bits. A lookup costs
//! the logarithm of the number of constants, and one bit for each row and column.

use super::axis::{Axis, Set};
use crate::types::Value;

/// A set of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows(Vec<u64>);

/// The rows of a table by the values of one column.
pub(super) struct Index {
    axis: Axis,
    /// A segment tree: the leaf of a position is at that position behind as many inner nodes.
    tree: Vec<Posting>,
    /// The rows that this column does not limit, or not by constants.
    open: Rows,
    /// The rows that null is not known not to match.
    null: Rows,
}

/// The rows of a node of the tree.
enum Posting {
    Few(Vec<u32>),
    Many(Rows),
}

impl Rows {
    pub(super) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    pub(super) fn all(count: usize) -> Self {
        let mut rows = Self::none(count);
        (0..count).for_each(|row| rows.add(row));
        rows
    }

    pub(super) fn add(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(super) fn remove(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn has(&self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// The rows in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(place, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(place * 64 + bit)
            })
        })
    }
}

impl Index {
    /// The index of `count` rows; `sets` has the set of each row, or `None` where the row is not limited by constants.
    pub(super) fn new(axis: Axis, sets: &[Option<Set>]) -> Self {
        let (count, leaves) = (sets.len(), axis.len());
        let mut postings: Vec<Vec<u32>> = vec![Vec::new(); 2 * leaves];
        let (mut open, mut null) = (Rows::none(count), Rows::none(count));
        for (row, set) in sets.iter().enumerate() {
            let Some(set) = set else {
                open.add(row);
                null.add(row);
                continue;
            };
            if set.null != Some(false) {
                null.add(row);
            }
            let number = u32::try_from(row).unwrap_or(u32::MAX);
            for (low, high) in &set.ranges {
                let (mut low, mut high) = (low + leaves, high + leaves + 1);
                while low < high {
                    if low % 2 == 1 {
                        postings.get_mut(low).into_iter().for_each(|rows| rows.push(number));
                        low += 1;
                    }
                    if high % 2 == 1 {
                        high -= 1;
                        postings.get_mut(high).into_iter().for_each(|rows| rows.push(number));
                    }
                    (low, high) = (low / 2, high / 2);
                }
            }
        }
        let tree = postings.into_iter().map(|rows| Posting::of(rows, count)).collect();
        Self { axis, tree, open, null }
    }

    /// The rows that a value may match; `None` where it cannot be compared with the constants of the column.
    pub(super) fn rows(&self, value: &Value) -> Option<Rows> {
        if value.is_null() {
            return Some(self.null.clone());
        }
        let mut node = self.axis.position(value)? + self.axis.len();
        let mut rows = self.open.clone();
        while node > 0 {
            match self.tree.get(node) {
                Some(Posting::Few(few)) => few.iter().for_each(|row| rows.add(*row as usize)),
                Some(Posting::Many(many)) => rows.extend(many),
                None => {}
            }
            node /= 2;
        }
        Some(rows)
    }

    /// Whether the column does not limit the row, or not by constants.
    pub(super) fn is_open(&self, row: usize) -> bool {
        self.open.has(row)
    }
}

impl Posting {
    /// Many rows take less as bits.
    fn of(rows: Vec<u32>, count: usize) -> Self {
        if rows.len() * 32 <= count {
            return Self::Few(rows);
        }
        let mut bits = Rows::none(count);
        rows.iter().for_each(|row| bits.add(*row as usize));
        Self::Many(bits)
    }
}
