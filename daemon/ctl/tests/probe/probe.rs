//! A program as a user would write one, which the tests run through mpctl.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

mpfork::preload! {
    /// Told how far it is, and failing when it is asked to.
    static WORDS: Vec<String> = load_words;
    name = "words",
    env = ["PROBE"],
}

fn load_words(progress: &mpfork::Progress) -> Result<Vec<String>, std::io::Error> {
    println!("loading words");
    match std::env::var("PROBE").as_deref() {
        Ok("fail") => {
            let cause = std::fs::read("/nonexistent/words").map(drop);
            cause?;
        }
        // Long enough to be seen.
        Ok("slow") => {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(900) {
                progress.report(began.elapsed().as_secs_f64(), "reading pages");
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        _ => {}
    }
    Ok(vec!["one".to_owned(), "two".to_owned()])
}

fn lengths(words: Vec<String>) -> BTreeMap<String, usize> {
    words
        .into_iter()
        .map(|word| (word.clone(), word.len()))
        .collect()
}

fn sum(a: i64, b: i64) -> i64 {
    a + b
}

fn nothing() {}

fn fail(text: String) -> Result<(), std::io::Error> {
    Err(std::io::Error::other(text))
}

mpfork::register!("lengths", lengths);
mpfork::register!("sum", sum);
mpfork::register!("nothing", nothing);
mpfork::register!("fail", fail);

fn main() {
    mpfork::freeze_support();
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    if args == ["name"] {
        println!("{}", name.display());
        return;
    }
    println!("{} words, arguments {args:?}", WORDS.len());
}
