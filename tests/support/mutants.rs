//! Every one-character mutant of a text: each character deleted, doubled, or swapped with the next.
//!
//! `TEST_MUTANTS=all` gives all of them (`scripts/test mutants`), otherwise every fourth, in which each kind occurs.

/// The mutants of a text.
pub(crate) fn mutants(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut mutants = Vec::with_capacity(characters.len() * 3);
    for (at, here) in characters.iter().enumerate() {
        let (before, rest) = characters.split_at(at);
        let after = rest.get(1..).unwrap_or_default();
        let with = |middle: &[char], after: &[char]| [before, middle, after].concat().into_iter().collect::<String>();
        mutants.push(with(&[], after));
        mutants.push(with(&[*here, *here], after));
        if let Some((next, rest)) = after.split_first().filter(|(next, _)| *next != here) {
            mutants.push(with(&[*next, *here], rest));
        }
    }
    let is_full = std::env::var("TEST_MUTANTS").is_ok_and(|mutants| mutants == "all");
    mutants.into_iter().step_by(if is_full { 1 } else { 4 }).collect()
}
