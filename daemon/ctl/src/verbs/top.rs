//! `mpctl top`: the status, over and over.

use super::Call;
use crate::cli::TopArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::relay::signals::Signals;
use crate::relay::suspend;
use crate::render;
use crate::screen::Screen;
use crate::views::StatusView;
use mpfork::Error;
use mpfork::api::Client;
use nix::sys::signal::Signal;
use std::io::{self, IsTerminal as _, Read as _};
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// What q, ^C and ^D type.
const QUIT: [u8; 4] = [b'q', b'Q', 0x03, 0x04];
/// What ^Z types.
const STOP: u8 = 0x1a;

pub(crate) fn call(call: &Call, args: &TopArgs) -> Result<Ending, Failed> {
    if call.output.is_json() || !Screen::is_possible() {
        let why = "it needs a terminal on standard output, and is for people; programs read \
                   `mpctl status --json`";
        return Err(Failed::usage("showing a live view", why));
    }
    let interval = args.interval;
    call.ask("showing a live view", |client| show(client, interval))
}

/// A look at the daemon.
struct Look {
    at: Instant,
    status: StatusView,
}

async fn look(client: &Client, not_before: Instant) -> Result<Look, Error> {
    tokio::time::sleep_until(not_before.into()).await;
    let status = client.get_status().await?;
    Ok(Look {
        at: Instant::now(),
        status: StatusView::new(status, SystemTime::now()),
    })
}

async fn show(client: Client, interval: Duration) -> Result<Ending, Error> {
    let listening = Signals::listen(true);
    let mut signals = listening.map_err(|error| Error::System {
        doing: "listening to signals".to_owned(),
        error,
    })?;
    let (mut before, mut now) = (None, look(&client, Instant::now()).await?);
    let mut keys = keys();
    let screen = Screen::enter();
    let mut next = pin!(look(&client, now.at + interval));
    loop {
        draw(&screen, &now, before.as_ref());
        tokio::select! {
            looked = &mut next => {
                before = Some(std::mem::replace(&mut now, looked?));
                next.set(look(&client, now.at + interval));
            }
            signal = signals.next() => match signal {
                Signal::SIGWINCH | Signal::SIGCONT => {}
                Signal::SIGTSTP => stop(&screen, false),
                signal => return Ok(Ending::Signal(signal as i32)),
            },
            Some(key) = keys.recv() => match key {
                key if QUIT.contains(&key) => return Ok(Ending::Code(0)),
                STOP => stop(&screen, true),
                // Anything else asks for a look now.
                _ => next.set(look(&client, Instant::now())),
            },
        }
    }
}

fn draw(screen: &Screen, now: &Look, before: Option<&Look>) {
    let (rows, columns) = Screen::size();
    let before = before.map(|before| {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
        (&before.status, seconds.max(0.001))
    });
    screen.draw(&render::top(&now.status, before, rows, columns));
}

/// As any program in the terminal's foreground would stop. `whole_job`: it was typed.
fn stop(screen: &Screen, whole_job: bool) {
    if suspend::is_possible() {
        screen.suspend();
        suspend::stop(whole_job);
    }
}

/// The keys that are typed. None come when standard input is no terminal.
fn keys() -> mpsc::Receiver<u8> {
    let (keys, typed) = mpsc::channel(16);
    if io::stdin().is_terminal() {
        // Such a read can't be cancelled; it ends with the process.
        suspend::without_tstp(|| {
            std::thread::spawn(move || {
                let mut stdin = io::stdin().lock();
                let mut key = [0];
                while stdin.read_exact(&mut key).is_ok() && keys.blocking_send(key[0]).is_ok() {}
            });
        });
    }
    typed
}
