//! "Did you mean": the known name nearest to a misspelt one.

/// The name among `known` that is nearest to `word`, if it is within a third of the word's length in edits (Damerau-Levenshtein:
/// a swap of neighbours is one edit). Case is ignored.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// A proposal for an unknown `word`: the nearest of `known`, or the whole list after the words `all`.
pub fn suggest(word: &str, known: &[&str], all: &str) -> String {
    nearest(word, known.iter().copied())
        .map_or_else(|| format!("{all}: {}", known.join(", ")), |name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_proposed() {
        let known = ["database", "query", "params", "timeout_ms"];
        assert_eq!(nearest("datbase", known), Some("database"));
        assert_eq!(nearest("qurey", known), Some("query"));
        assert_eq!(nearest("Timeout_ms", known), Some("timeout_ms"));
        assert_eq!(nearest("edges", known), None);
    }
}
