//! A shard of a batch: the inputs that one of several processes decides.
//!
//! An input belongs to a shard by the SHA-256 of its content. So each process finds its own inputs without asking the others, equal
//! inputs are in one shard, and the shards of any count are disjoint and complete.

use std::str::FromStr;

use crate::types::Digest;

/// One of the shards `0/count` to `count - 1/count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Why a text names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// It is not two numbers.
    #[error("a shard is written K/N, such as 0/8 for the first of eight")]
    NotTwoNumbers,
    /// There are no shards.
    #[error("a batch has at least one shard: 0/1")]
    NoShards,
    /// There are not so many.
    #[error("shards are counted from 0: the first of {count} is 0/{count} and the last {}/{count}", .count - 1)]
    NoSuchShard {
        /// How many there are.
        count: u32,
    },
}

impl Shard {
    /// Whether an input with this content belongs to the shard.
    pub(super) fn contains(self, content: impl AsRef<[u8]>) -> bool {
        let mut digest = Digest::default();
        digest.add(content);
        digest.number() % u64::from(self.count) == u64::from(self.index)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |digits: &str| {
            let has_only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| has_only_digits).ok_or(ShardError::NotTwoNumbers)
        };
        let (index, count) = text.split_once('/').ok_or(ShardError::NotTwoNumbers)?;
        let (index, count): (u32, u32) = (number(index)?, number(count)?);
        match count {
            0 => Err(ShardError::NoShards),
            _ if index >= count => Err(ShardError::NoSuchShard { count }),
            _ => Ok(Self { index, count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_shard_is_refused_with_what_there_is() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        for text in ["", "3", "3/", "/8", "a/8", "3/b", "+3/8", "-1/8", " 3/8", "3/8/1", "3/99999999999"] {
            assert_eq!(text.parse::<Shard>(), Err(ShardError::NotTwoNumbers), "{text}");
        }
        assert_eq!("0/0".parse::<Shard>(), Err(ShardError::NoShards));
        for text in ["8/8", "9/8"] {
            let message = text.parse::<Shard>().unwrap_err().to_string();
            assert_eq!(message, "shards are counted from 0: the first of 8 is 0/8 and the last 7/8");
        }
    }

    #[test]
    fn every_content_is_in_one_shard_and_shards_are_about_equal() {
        for count in [1, 2, 3, 8] {
            let shards: Vec<Shard> = (0..count).map(|index| Shard { index, count }).collect();
            let mut sizes = vec![0_u32; shards.len()];
            for number in 0..4_000_u32 {
                let holders: Vec<usize> =
                    (0..shards.len()).filter(|index| shards[*index].contains(number.to_string())).collect();
                assert_eq!(holders.len(), 1, "{number} of {count}");
                sizes[holders[0]] += 1;
            }
            let even = 4_000 / count;
            assert!(sizes.iter().all(|size| size.abs_diff(even) < even / 4), "{sizes:?}");
        }
        // Other versions of the program find the same shard.
        let holder = (0..8).find(|index| Shard { index: *index, count: 8 }.contains(r#"{"product_id":"PROD-001"}"#));
        assert_eq!(holder, Some(3));
    }
}
