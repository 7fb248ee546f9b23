//! Text from elsewhere, made safe and made to fit.

/// One line of printable characters: white space becomes a space, other control characters are
/// shown escaped.
pub(crate) fn line(text: &str) -> String {
    printable(text.trim())
}

fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => clean.push(' '),
            _ if character.is_control() => clean.extend(character.escape_default()),
            _ => clean.push(character),
        }
    }
    clean
}

/// The same, of several lines, which stay indented.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|text| printable(text.trim_end()))
}

/// At most so many characters; what is cut shows as an ellipsis.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Broken at spaces into lines of at most so many characters.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut length = 0;
    for word in line(text).split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + rest.len() > width {
            lines.push(std::mem::take(&mut current));
            length = 0;
        }
        if length > 0 {
            current.push(' ');
            length += 1;
        }
        while length + rest.len() > width.max(1) {
            let room = width.max(1) - length;
            current.extend(rest.drain(..room));
            lines.push(std::mem::take(&mut current));
            length = 0;
        }
        length += rest.len();
        current.extend(rest);
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_get_through() {
        assert_eq!(line(" a\x1b[2Jb\nc\t"), "a\\u{1b}[2Jb c");
        assert_eq!(
            lines("a\r\n  \x07b\n").collect::<Vec<_>>(),
            ["a", "  \\u{7}b"]
        );
    }

    #[test]
    fn what_is_cut_shows() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("äöüß", 3), "äö…");
    }

    #[test]
    fn words_are_wrapped_and_long_ones_broken() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefg h", 3), ["abc", "def", "g h"]);
        assert_eq!(wrap("", 3), Vec::<String>::new());
        assert_eq!(wrap("ab", 0), ["a", "b"]);
    }
}
