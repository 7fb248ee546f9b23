//! `mpctl template warm`.

use super::Call;
use crate::cli::TemplateArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::render;
use crate::views::TemplateView;
use mpfork::Error;
use mpfork::api::Warming;
use mpfork_proto::v1::warm_template_response::Event;
use mpfork_proto::v1::{Template, WarmProgress};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant, SystemTime};

pub(crate) fn call(call: &Call, args: &TemplateArgs) -> Result<Ending, Failed> {
    let name = &args.template;
    let what = format!("warming template {name}");
    let mut progress = Progress::new(name);
    let template = call.ask(&what, |client| {
        let progress = &mut progress;
        async move {
            let warming = client.warm_template(name).await?;
            follow(warming, progress).await
        }
    });
    progress.clear();
    let view = TemplateView::new(template?, SystemTime::now());
    call.output.answer(&view, warm)
}

async fn follow(mut warming: Warming, progress: &mut Progress) -> Result<Template, Error> {
    let mut timer = tokio::time::interval(Duration::from_millis(200));
    let mut template = Template::default();
    loop {
        tokio::select! {
            event = warming.next() => match event? {
                Some(Event::Progress(news)) => progress.latest = Some(news),
                Some(Event::Warm(warm)) => template = warm,
                None => return Ok(template),
            },
            _ = timer.tick() => {}
        }
        progress.draw();
    }
}

/// One line: what is warm now, and what it took.
pub(super) fn warm(view: &TemplateView) -> String {
    let mut text = format!("{} is {}", render::line(&view.label()), view.state);
    if let Some(pid) = view.zygote_pid {
        let _ = write!(text, ": zygote {pid}");
    }
    if let Some(seconds) = view.preload_seconds {
        let _ = write!(text, ", preloaded in {}", render::duration(seconds));
    }
    if let Some(rss) = view.rss_bytes {
        let _ = write!(text, ", {} resident", render::bytes(rss));
    }
    text.push('\n');
    text
}

/// A line on the terminal that is drawn over and over. Nothing where there is no terminal.
#[derive(Debug)]
struct Progress {
    template: String,
    latest: Option<WarmProgress>,
    began: Instant,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    fn new(template: &str) -> Self {
        Self {
            template: render::line(template),
            latest: None,
            began: Instant::now(),
            terminal: io::stderr().is_terminal(),
            drawn: false,
        }
    }

    fn draw(&mut self) {
        if !self.terminal {
            return;
        }
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
        let width = size.map_or(0, |size| usize::from(size.ws_col));
        // The last column is left free: some terminals would wrap.
        let width = if width == 0 { render::WIDTH } else { width } - 1;
        let line = self.line(self.began.elapsed());
        let _ = write!(io::stderr(), "\r{}\x1b[K", render::fit(&line, width));
        self.drawn = true;
    }

    fn line(&self, elapsed: Duration) -> String {
        let mut line = format!("warming {}: ", self.template);
        match &self.latest {
            None => line.push_str("launching"),
            Some(news) if news.preload.is_empty() => line.push_str(&render::line(&news.message)),
            Some(news) => {
                let preload = render::line(&news.preload);
                let _ = write!(line, "{}/{} {preload}", news.index, news.total);
                if let Some(fraction) = news.fraction {
                    let _ = write!(line, " {:.0}%", fraction.clamp(0.0, 1.0) * 100.0);
                }
                if !news.message.is_empty() {
                    let _ = write!(line, " {}", render::line(&news.message));
                }
            }
        }
        let _ = write!(line, "  {:.1}s", elapsed.as_secs_f64());
        line
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::samples;

    #[test]
    fn progress_is_one_line() {
        let mut progress = Progress::new("words");
        let elapsed = Duration::from_millis(1234);
        assert_eq!(progress.line(elapsed), "warming words: launching  1.2s");
        progress.latest = Some(WarmProgress {
            preload: "vocabulary".to_owned(),
            index: 2,
            total: 3,
            fraction: Some(0.456),
            message: "reading\nmerges".to_owned(),
            elapsed: None,
        });
        assert_eq!(
            progress.line(elapsed),
            "warming words: 2/3 vocabulary 46% reading merges  1.2s"
        );
    }

    #[test]
    fn what_is_warm() {
        let view = TemplateView::new(samples::template("words"), samples::now());
        assert_eq!(
            warm(&view),
            "words is warm: zygote 4250, preloaded in 1.3s, 118M resident\n"
        );
    }
}
