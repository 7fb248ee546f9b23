//! A reader of OpenMetrics pages that refuses what the format forbids.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A page that was found valid.
#[derive(Debug, Default)]
pub struct Page {
    samples: Vec<Sample>,
    /// Each family's name and type.
    pub families: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    /// The value of the first sample of this name that has these labels, and others maybe.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let mut labels = labels.iter();
            sample.name == name
                && labels.all(|(name, value)| sample.labels.get(*name).is_some_and(|v| v == value))
        };
        self.samples.iter().find(has).map(|sample| sample.value)
    }

    /// The names of all samples that a page may have, by its families.
    #[must_use]
    pub fn sample_names(&self) -> HashSet<String> {
        let families = self.families.iter();
        families
            .flat_map(|(name, kind)| suffixes(kind).iter().map(move |s| format!("{name}{s}")))
            .collect()
    }
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "histogram" => &["_sum", "_count", "_bucket"],
        "info" => &["_info"],
        _ => &[""],
    }
}

/// Reads a page.
///
/// # Errors
/// What the format forbids, with the line.
pub fn parse(text: &str) -> Result<Page, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
    let mut page = Page::default();
    let mut family: Option<(String, String)> = None;
    let mut seen = HashSet::new();
    for line in body.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let rest = words.next().unwrap_or("");
            match keyword {
                "HELP" => {
                    is_name(name).then_some(()).ok_or(wrong("no name"))?;
                    (rest.len() > 5).then_some(()).ok_or(wrong("no help"))?;
                    if page
                        .families
                        .insert(name.to_owned(), String::new())
                        .is_some()
                    {
                        return Err(wrong("the family is there already"));
                    }
                    family = Some((name.to_owned(), String::new()));
                }
                "TYPE" => {
                    let (current, kind) = family.as_mut().ok_or(wrong("no HELP before"))?;
                    if current != name || !kind.is_empty() {
                        return Err(wrong("the type of another family"));
                    }
                    if !["counter", "gauge", "histogram", "info"].contains(&rest) {
                        return Err(wrong("an unknown type"));
                    }
                    rest.clone_into(kind);
                    page.families.insert(name.to_owned(), rest.to_owned());
                }
                _ => return Err(wrong("an unknown comment")),
            }
            continue;
        }
        let sample = sample(line).ok_or_else(|| wrong("no sample"))?;
        let (name, kind) = family.as_ref().ok_or(wrong("no family"))?;
        let suffix = sample.name.strip_prefix(name.as_str());
        if !suffix.is_some_and(|suffix| suffixes(kind).contains(&suffix)) {
            return Err(wrong("no sample of this family"));
        }
        if kind != "gauge" && sample.value < 0.0 || sample.value.is_nan() {
            return Err(wrong("a value that can't be"));
        }
        if !seen.insert((sample.name.clone(), sample.labels.clone())) {
            return Err(wrong("the same sample twice"));
        }
        page.samples.push(sample);
    }
    check_histograms(&page)?;
    Ok(page)
}

/// Buckets do not fall, the last is for all, and is the count.
fn check_histograms(page: &Page) -> Result<(), String> {
    let mut last: HashMap<(String, BTreeMap<String, String>), (f64, f64)> = HashMap::new();
    for sample in &page.samples {
        let Some(name) = sample.name.strip_suffix("_bucket") else {
            continue;
        };
        let mut labels = sample.labels.clone();
        let bound = match labels.remove("le").as_deref() {
            Some("+Inf") => f64::INFINITY,
            Some(bound) => bound.parse().map_err(|_| format!("{name}: {bound}"))?,
            None => return Err(format!("{name} has a bucket without bound")),
        };
        let before = last.insert((name.to_owned(), labels), (bound, sample.value));
        if before.is_some_and(|(b, value)| b >= bound || value > sample.value) {
            return Err(format!("{name}: buckets fall"));
        }
    }
    for ((name, labels), (bound, value)) in last {
        let labels: Vec<_> = labels
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        if bound.is_finite() || page.value(&format!("{name}_count"), &labels) != Some(value) {
            return Err(format!("{name}: the last bucket is not the count"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(after) = rest.strip_prefix('{') {
        rest = after;
        // Allowed, but not every reader takes it.
        if rest.starts_with('}') {
            return None;
        }
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?;
    is_name(name).then_some(())?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// A quoted value after its first quote, and what follows the last.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_forbids_is_refused() {
        let fine = "# HELP a_b What it is.\n# TYPE a_b counter\na_b_total{x=\"1\\\"\"} 3\n# EOF\n";
        let page = parse(fine).unwrap();
        assert_eq!(page.value("a_b_total", &[("x", "1\"")]), Some(3.0));
        assert!(page.sample_names().contains("a_b_total"));
        for wrong in [
            fine.replace("# EOF\n", ""),
            fine.replace("_total", ""),
            fine.replace(" 3", " -3"),
            fine.replace(" 3", ""),
            fine.replace("\\\"\"}", "}"),
            fine.replace("counter", "count"),
            fine.replace("TYPE a_b", "TYPE a"),
            fine.replace("# EOF", "a_b_total{x=\"1\\\"\"} 3\n# EOF"),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_histogram_adds_up() {
        let fine = "# HELP h What it is.\n# TYPE h histogram\nh_sum 1.5\nh_count 2\n\
                    h_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\n# EOF\n";
        parse(fine).unwrap();
        for wrong in [
            fine.replace("} 2", "} 3"),
            fine.replace("} 1", "} 3"),
            fine.replace("+Inf", "2"),
            fine.replace("1.0", "x"),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }
}
