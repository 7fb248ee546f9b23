//! What is rendered.

use serde::{Deserialize, Serialize};

/// A title in the first line, and text with `*emphasis*` and `@abbreviations`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Document {
    pub name: String,
    pub text: String,
}

/// Some that are fine, and some that are not.
pub fn batch() -> Vec<Document> {
    let texts = [
        ("fork", "Forking\n@COW makes it *cheap*."),
        ("empty", ""),
        ("open", "Open\nno end\nof *emphasis"),
        ("spawn", "Spawning\nNothing is inherited."),
        ("crash", "Crash\n@CRASH"),
    ];
    let document = |(name, text): (&str, &str)| Document {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    texts.map(document).into()
}
