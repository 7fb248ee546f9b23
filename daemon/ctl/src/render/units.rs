//! Figures for people, short enough for columns.

/// At most five characters: `512B`, `3.1M`, `118M`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit > 0 && value < 9.95 {
        format!("{value:.1}{}", UNITS[unit])
    } else {
        format!("{value:.0}{}", UNITS[unit])
    }
}

/// At most six characters: `212us`, `1.1ms`, `45s`, `3h12m`, `12d4h`.
pub(crate) fn duration(seconds: f64) -> String {
    let micros = seconds * 1e6;
    let scaled = |value: f64, unit: &str| {
        if value < 9.95 {
            format!("{value:.1}{unit}")
        } else {
            format!("{value:.0}{unit}")
        }
    };
    if micros < 999.5 {
        format!("{micros:.0}us")
    } else if micros < 999_500.0 {
        scaled(micros / 1e3, "ms")
    } else if seconds < 99.5 {
        scaled(seconds, "s")
    } else {
        long(seconds)
    }
}

/// In whole seconds and up, of two units at most: `4s`, `3h12m`.
pub(crate) fn age(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{:.0}s", seconds.floor())
    } else {
        long(seconds)
    }
}

fn long(seconds: f64) -> String {
    let minutes = (seconds / 60.0).floor();
    let hours = (minutes / 60.0).floor();
    let days = (hours / 24.0).floor();
    if minutes < 60.0 {
        let rest = (seconds - minutes * 60.0).floor();
        format!("{minutes:.0}m{rest:.0}s")
    } else if hours < 24.0 {
        format!("{hours:.0}h{:.0}m", minutes - hours * 60.0)
    } else if days < 100.0 {
        format!("{days:.0}d{:.0}h", hours - days * 24.0)
    } else {
        format!("{days:.0}d")
    }
}

/// Of one unit, at most four characters, for how old a figure is: `4s`, `3h`.
pub(crate) fn short_age(seconds: f64) -> String {
    let (value, unit) = if seconds < 60.0 {
        (seconds, "s")
    } else if seconds < 3600.0 {
        (seconds / 60.0, "m")
    } else if seconds < 86400.0 {
        (seconds / 3600.0, "h")
    } else {
        (seconds / 86400.0, "d")
    };
    format!("{:.0}{unit}", value.floor())
}

/// With a comma before every three digits: `20,000`.
pub(crate) fn grouped(count: u64) -> String {
    if count == u64::MAX {
        return "unlimited".to_owned();
    }
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// At most six characters: exact up to there, then in millions and so on.
pub(crate) fn count(count: u64) -> String {
    if count < 1_000_000 {
        return count.to_string();
    }
    let mut value = count as f64 / 1e6;
    let mut units = ["M", "G", "T", "P", "E"].iter();
    let mut unit = units.next();
    while value >= 999.5 {
        value /= 1e3;
        unit = units.next();
    }
    format!("{value:.1}{}", unit.unwrap_or(&""))
}

/// How often in a second, at most six characters: `0`, `0.5`, `150`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second <= 0.0 {
        "0".to_owned()
    } else if per_second < 9.95 {
        format!("{per_second:.1}")
    } else if per_second < 999_999.5 {
        format!("{per_second:.0}")
    } else {
        format!("{:.1}M", per_second / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (size, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0K"),
            (1024, "1.0K"),
            (10_189, "10K"),
            (1_048_064, "1.0M"),
            (123_456_789, "118M"),
            (5 << 30, "5.0G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn times() {
        for (seconds, text) in [
            (0.0, "0us"),
            (0.000_212, "212us"),
            (0.000_999_6, "1.0ms"),
            (0.001_13, "1.1ms"),
            (0.123, "123ms"),
            (0.9996, "1.0s"),
            (1.31, "1.3s"),
            (45.2, "45s"),
            (100.0, "1m40s"),
            (11_580.0, "3h13m"),
            (1_051_200.0, "12d4h"),
            (1e9, "11574d"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
        assert_eq!(age(0.9), "0s");
        assert_eq!(age(61.0), "1m1s");
        assert_eq!(short_age(4.9), "4s");
        assert_eq!(short_age(7300.0), "2h");
    }

    #[test]
    fn counts() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(20_000), "20,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(u64::MAX), "unlimited");
        assert_eq!(count(999_999), "999999");
        assert_eq!(count(1_234_567), "1.2M");
        assert_eq!(count(1_234_567_890), "1.2G");
        assert_eq!(count(u64::MAX), "18.4E");
        for (per_second, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (9.94, "9.9"),
            (9.96, "10"),
            (150.4, "150"),
            (999_999.9, "1.0M"),
        ] {
            assert_eq!(rate(per_second), text);
        }
    }
}
