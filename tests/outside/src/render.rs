//! The renderer, which runs in processes of its own.

use crate::document::Document;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mpfork::preload! {
    /// What abbreviations stand for.
    static GLOSSARY: BTreeMap<String, String> = load_glossary;
    env = ["GLOSSARY"],
}

/// Lines such as `COW copy on write`, of the file that the variable names.
fn load_glossary() -> std::io::Result<BTreeMap<String, String>> {
    let path = std::env::var_os("GLOSSARY").ok_or(std::io::ErrorKind::NotFound)?;
    let text = std::fs::read_to_string(path)?;
    let entries = text.lines().filter_map(|line| line.split_once(' '));
    Ok(entries
        .map(|(short, long)| (short.to_owned(), long.to_owned()))
        .collect())
}

/// A rendered document.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    pub title: String,
    pub html: String,
}

/// A document that can't be understood.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unclear {
    pub line: usize,
    pub what: String,
}

impl std::fmt::Display for Unclear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// Renders a document.
pub fn render(document: Document) -> Result<Page, Unclear> {
    let mut lines = document.text.lines();
    let title = lines.next().expect("a document has a title").to_owned();
    let mut html = format!("<h1>{title}</h1>");
    for (number, line) in (2..).zip(lines) {
        if line.matches('*').count() % 2 == 1 {
            let what = "emphasis without end".to_owned();
            return Err(Unclear { line: number, what });
        }
        html.push_str(&format!("<p>{}</p>", paragraph(line)));
    }
    Ok(Page { title, html })
}

fn paragraph(line: &str) -> String {
    let mut html = String::new();
    for (index, part) in line.split('*').enumerate() {
        let words: Vec<_> = part.split(' ').map(expanded).collect();
        let part = words.join(" ");
        html.push_str(&if index % 2 == 1 {
            format!("<em>{part}</em>")
        } else {
            part
        });
    }
    html
}

fn expanded(word: &str) -> String {
    match word.strip_prefix('@') {
        // What a renderer with a library in C may do some day.
        Some("CRASH") => std::process::abort(),
        Some(short) => GLOSSARY
            .get(short)
            .cloned()
            .unwrap_or_else(|| short.to_owned()),
        None => word.to_owned(),
    }
}
