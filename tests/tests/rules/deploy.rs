//! What is deployed: the example configuration, the units, the alerts.

use super::sources::{read, root};
use mpfork_tests::harness::Folder;
use mpfork_tests::harness::programs::{DAEMON, program};
use mpforkd::config::Config;
use std::process::Command;

const EXAMPLE: &str = "deploy/mpforkd.example.toml";
const SYSTEMD: &str = "deploy/systemd";

/// The example with all that is commented out taken in. Prose has a space after its `#`.
fn whole_example() -> String {
    let lines = read(EXAMPLE);
    let lines = lines.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The keys of a section, as the daemon names them when it finds one it does not know.
fn keys(section: &str) -> Option<Vec<String>> {
    let header = if section.is_empty() {
        String::new()
    } else {
        format!("[{section}]\n")
    };
    let error = toml::from_str::<Config>(&format!("{header}no_such_key = 1\n"))
        .unwrap_err()
        .to_string();
    let (_, expected) = error.split_once("unknown field `no_such_key`, expected ")?;
    let names = expected.split('`').skip(1).step_by(2);
    Some(names.map(str::to_owned).collect())
}

#[test]
fn the_example_configuration_has_every_key_with_its_default() {
    let plain: Config = toml::from_str(&read(EXAMPLE)).unwrap();
    assert_eq!(plain, Config::default());
    let text = whole_example();
    let mut whole: Config = toml::from_str(&text).unwrap();
    // These have no default that could be written down, or are examples.
    whole.socket.take().unwrap();
    whole.metrics.listen.take().unwrap();
    assert_eq!(whole.log.filter.take().as_deref(), Some("info"));
    whole.log.format.take().unwrap();
    let template = whole.templates.remove("words").unwrap();
    assert_eq!(whole, Config::default());
    assert!(template.args.is_empty() && !template.warm);

    let table: toml::Table = text.parse().unwrap();
    let mut sections = 0;
    for section in keys("").unwrap() {
        assert!(table.contains_key(&section), "the example lacks {section}");
        let Some(keys) = keys(&section) else {
            continue;
        };
        sections += 1;
        for key in keys {
            let has = table[&section].get(&key).is_some();
            assert!(has, "the example lacks {section}.{key}");
        }
    }
    assert!(sections >= 4, "{sections}");
    for key in keys("templates.words").unwrap() {
        let has = table["templates"]["words"].get(&key).is_some();
        assert!(has, "the example lacks templates.words.{key}");
    }
}

/// The settings of a unit: section, name, value, and whether a comment or another setting is above.
fn settings(unit: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in unit.lines() {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            settings.push((section.clone(), name.to_owned(), value.to_owned()));
        }
    }
    settings
}

#[test]
fn units_are_valid() {
    let known = Command::new("systemd-analyze").arg("--version").output();
    assert!(
        known.is_ok_and(|output| output.status.success()),
        "there is no systemd-analyze: install it, on Debian with `apt-get install systemd`"
    );
    for kind in ["system", "user"] {
        let folder = Folder::new();
        let units = ["mpforkd.service", "mpforkd.socket"].map(|name| {
            let unit = read(format!("{SYSTEMD}/{kind}/{name}"));
            // It must be there to be executed; the package has it in the place that is named.
            let built = program(DAEMON);
            let unit = unit.replace("/usr/bin/mpforkd", built.to_str().unwrap());
            let path = folder.join(name);
            std::fs::write(&path, unit).unwrap();
            path
        });
        // Manual pages are not installed where this runs.
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(format!("--{kind}"))
            .args(units)
            .env("XDG_RUNTIME_DIR", folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said: Vec<_> = said.lines().filter(|l| l.contains("mpforkd")).collect();
        assert!(
            output.status.success() && said.is_empty(),
            "{kind}: {said:?}"
        );
    }
}

#[test]
fn units_say_what_mpforkd_does() {
    for kind in ["system", "user"] {
        let service = settings(&read(format!("{SYSTEMD}/{kind}/mpforkd.service")));
        let socket = settings(&read(format!("{SYSTEMD}/{kind}/mpforkd.socket")));
        let value = |settings: &[(String, String, String)], name: &str| {
            let found = settings.iter().find(|(_, n, _)| n == name);
            found.map(|(_, _, value)| value.clone())
        };
        for (name, expected) in [
            ("Type", "notify"),
            ("KillMode", "mixed"),
            ("OOMPolicy", "continue"),
            ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ] {
            assert_eq!(value(&service, name).as_deref(), Some(expected), "{kind}");
        }
        for name in ["WatchdogSec", "TasksMax", "LimitNOFILE", "TimeoutStopSec"] {
            assert!(value(&service, name).is_some(), "{kind}: {name}");
        }
        // The command line is one that mpforkd takes.
        let start = value(&service, "ExecStart").unwrap();
        let words = start.split(' ').map(str::to_owned);
        mpforkd::command().try_get_matches_from(words).unwrap();
        assert_eq!(value(&socket, "SocketMode").as_deref(), Some("0600"));
        // A mount namespace would make a client's directory unreachable for its workers.
        for name in [
            "ProtectSystem",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
        ] {
            assert_eq!(value(&service, name), None, "{kind}");
        }
    }
    let system = settings(&read(format!("{SYSTEMD}/system/mpforkd.socket")));
    let listen = system.iter().find(|(_, name, _)| name == "ListenStream");
    assert_eq!(listen.unwrap().2, mpfork_transport::search::SYSTEM_SOCKET);
}

/// Every choice has its reason above it: a comment, or a setting that has one.
#[test]
fn every_setting_has_its_reason() {
    for path in [
        "system/mpforkd.service",
        "system/mpforkd.socket",
        "user/mpforkd.service",
        "user/mpforkd.socket",
    ] {
        let unit = read(format!("{SYSTEMD}/{path}"));
        let mut explained = true;
        let mut inside = false;
        for line in unit.lines() {
            match line {
                "[Service]" | "[Socket]" => inside = true,
                _ if line.starts_with('[') => inside = false,
                "" => explained = false,
                _ if line.starts_with('#') => explained = true,
                _ => assert!(!inside || explained, "{path}: {line}"),
            }
        }
    }
}

#[test]
fn the_users_and_folders_are_those_of_the_units() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("etc")).unwrap();
    let run = |program: &str, args: &[&str], file: &str| {
        let output = Command::new(program)
            .arg(format!("--root={}", folder.path().display()))
            .args(args)
            .arg(root().join(SYSTEMD).join(file))
            .output();
        let output = output.unwrap_or_else(|error| {
            panic!("{program}: {error}: on Debian `apt-get install systemd`")
        });
        assert!(output.status.success(), "{output:?}");
    };
    run("systemd-sysusers", &[], "sysusers.conf");
    let users = std::fs::read_to_string(folder.join("etc/passwd")).unwrap();
    assert!(users.starts_with("mpforkd:"), "{users}");
    if mpfork_tests::harness::skip_unless_root("make the folder for that user") {
        return;
    }
    run("systemd-tmpfiles", &["--create"], "tmpfiles.conf");
    use std::os::unix::fs::MetadataExt as _;
    let made = std::fs::metadata(folder.join("run/mpforkd")).unwrap();
    let uid: u32 = users.split(':').nth(2).unwrap().parse().unwrap();
    assert_eq!((made.uid(), made.mode() & 0o7777), (uid, 0o700));
}

#[test]
fn each_alert_names_a_section_of_the_runbook() {
    let runbook = read("deploy/RUNBOOK.md");
    let rules = read("deploy/prometheus/mpforkd.rules.yml");
    let count = |text: &str| {
        rules
            .lines()
            .filter(|l| l.trim_start().starts_with(text))
            .count()
    };
    let alerts = count("- alert: ");
    assert!(alerts > 5);
    for line in ["expr: ", "severity: ", "summary: ", "runbook: "] {
        assert_eq!(count(line), alerts, "{line}");
    }
    for line in rules.lines() {
        if let Some(section) = line.trim_start().strip_prefix("runbook: ") {
            let heading = format!("\n## {}\n", section.trim_matches('"'));
            assert!(runbook.contains(&heading), "{section}");
        }
    }
}

#[test]
fn the_container_copies_what_is_there() {
    let file = read("deploy/container/Containerfile");
    let instructions: Vec<Vec<&str>> = file
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of = |name: &str| {
        let named = instructions
            .iter()
            .filter(|words| words.first() == Some(&name));
        named.map(|words| words[1..].to_vec()).collect::<Vec<_>>()
    };
    let bases = of("FROM");
    assert_eq!(
        bases.len(),
        2,
        "it is built in one stage and run in another"
    );
    for base in &bases {
        assert!(
            base[0].contains(':') && !base[0].ends_with(":latest"),
            "{base:?}"
        );
    }
    let user = of("USER");
    assert!(user.len() == 1 && user[0] != ["root"], "{user:?}");
    let mut copied = 0;
    for words in of("COPY") {
        let words: Vec<&str> = words
            .into_iter()
            .filter(|w| !w.starts_with("--chmod"))
            .collect();
        if words[0].starts_with("--from=") {
            continue;
        }
        let (_, sources) = words.split_last().unwrap();
        for source in sources {
            assert!(root().join(source).exists(), "{source}");
            copied += 1;
        }
    }
    assert!(copied > 3);
    // The programs are executed by the names they have there.
    let start = of("ENTRYPOINT")[0].concat();
    assert!(start.contains("/usr/bin/mpforkd"), "{start}");
}
