//! Characters that make a file look different from what it contains.

/// Whether this character is invisible, or changes how the text around it looks: control characters
/// except the tab and the line feed, line separators other than the line feed, zero-width characters, soft hyphens,
/// fillers, bidirectional controls, variation selectors and tags (Unicode's `Default_Ignorable_Code_Point` and `Cc`).
pub fn is_invisible(character: char) -> bool {
    (character.is_control() && !matches!(character, '\t' | '\n' | '\r'))
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The invisible characters of a file's text, each with its offset: a byte order mark at the start does not count, a
/// carriage return without a line feed does.
pub fn invisible_characters(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices().filter(|(at, character)| match character {
        '\u{feff}' => *at > 0,
        '\r' => !text.get(at + 1..).is_some_and(|rest| rest.starts_with('\n')),
        other => is_invisible(*other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_found_and_what_can_is_not() {
        let hidden = "\u{0}\u{b}\u{7f}\u{85}\u{ad}\u{61c}\u{200b}\u{200d}\u{2028}\u{2029}\u{202e}\u{2066}\u{3164}\u{fe0f}\u{feff}\u{e0041}";
        for character in hidden.chars() {
            let text = format!("a{character}b");
            assert_eq!(invisible_characters(&text).collect::<Vec<_>>(), [(1, character)], "{character:?}");
        }
        assert_eq!(invisible_characters("\u{feff}größe\t= \"10\u{a0}€ 数量\";\r\nx\n").next(), None);
        assert_eq!(invisible_characters("a\rb").next(), Some((1, '\r')));
    }
}
