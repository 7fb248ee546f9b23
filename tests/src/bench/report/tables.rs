//! The report for people.

use super::super::measure::latency::SpareShare;
use super::super::measure::start::Start;
use super::super::protocol::Figure;
use super::super::way::Way;
use super::Report;
use std::fmt::{Result, Write};

impl Report {
    pub(in super::super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> Result {
        writeln!(out, "{}", self.host.line())?;
        self.write_latencies(out)?;
        self.write_alone(out)?;
        self.write_rates(out)?;
        self.write_bursts(out)?;
        self.write_idle(out)?;
        self.write_rest(out)?;
        writeln!(out, "\nCONTENDERS")?;
        for (name, what) in &self.contenders {
            writeln!(out, "{name:<24}{what}")?;
        }
        if !self.others.skipped.is_empty() {
            writeln!(out, "\nNOT MEASURED")?;
        }
        for skipped in &self.others.skipped {
            writeln!(out, "{skipped}")?;
        }
        writeln!(out, "\nTARGETS")?;
        for target in &self.targets {
            target.write(out)?;
        }
        Ok(())
    }

    fn write_latencies(&self, out: &mut String) -> Result {
        if self.latencies.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\nLATENCY, one process at a time, in µs; in brackets as a multiple of raw's\n\
             {:<24}{:>8}  {:^33}{:^33}",
            "", "", "REQUEST TO FIRST INSTRUCTION", "REQUEST TO EXIT KNOWN"
        )?;
        write!(out, "{:<24}{:>8}", "CONTENDER", "PRELOAD")?;
        for _ in 0..2 {
            write!(out, "  {:>9}{:>11}{:>11}", "P50", "", "P99")?;
        }
        writeln!(out)?;
        for size in &self.plan.sizes_mb {
            for way in self.plan.ways_with(*size) {
                let figures = [Figure::FirstInstruction, Figure::ExitKnown];
                let rows = figures.map(|figure| self.latency(way, *size, figure));
                if rows.iter().all(Option::is_none) {
                    continue;
                }
                write!(out, "{:<24}{size:>5} MB", way.name())?;
                for (row, figure) in rows.iter().zip(figures) {
                    let raw = self.latency(Way::Raw, *size, figure);
                    match (row, raw) {
                        (Some(row), Some(raw)) => {
                            let ratio = row.p50_us / raw.p50_us;
                            // Of a small one, two digits would say little.
                            let digits = if ratio < 0.1 { 3 } else { 2 };
                            let ratio = format!("({ratio:.digits$})");
                            write!(out, "  {:>9.1} {ratio:<10}{:>11.1}", row.p50_us, row.p99_us)?;
                        }
                        _ => write!(out, "{:33}", "")?,
                    }
                }
                writeln!(out)?;
            }
        }
        write_shares(out, &self.spares)
    }

    fn write_alone(&self, out: &mut String) -> Result {
        let Some(alone) = &self.others.alone else {
            return Ok(());
        };
        writeln!(
            out,
            "\nALONE, each after a pause of {} ms, nothing preloaded, in µs",
            alone.pause_ms
        )?;
        write_starts(out, &alone.starts)?;
        write_shares(out, &alone.spares)
    }

    fn write_rates(&self, out: &mut String) -> Result {
        let Some(first) = self.others.rates.first() else {
            return Ok(());
        };
        let outstanding: Vec<_> = self
            .others
            .rates
            .iter()
            .filter(|rate| rate.contender == first.contender)
            .map(|rate| rate.outstanding)
            .collect();
        writeln!(
            out,
            "\nTHROUGHPUT, nothing preloaded, in processes per second"
        )?;
        write!(out, "{:<24}", "CONTENDER")?;
        for outstanding in &outstanding {
            write!(out, "{:>16}", format!("{outstanding} OUTSTANDING"))?;
        }
        writeln!(out)?;
        for rates in self.others.rates.chunks(outstanding.len()) {
            write!(out, "{:<24}", rates[0].contender)?;
            for rate in rates {
                write!(out, "{:>16.0}", rate.per_s)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_bursts(&self, out: &mut String) -> Result {
        let Some(bursts) = &self.others.bursts else {
            return Ok(());
        };
        writeln!(
            out,
            "\nBURST of {}, nothing preloaded, in ms; as many raw forks one after another: {:.1}\n\
             {:<24}{:>16}{:>16}",
            bursts.count, bursts.sequential_raw_ms, "CONTENDER", "ALL ENDED", "ALL ALIVE"
        )?;
        for burst in &bursts.bursts {
            let alive = burst
                .alive_ms
                .map_or("-".to_owned(), |ms| format!("{ms:.1}"));
            writeln!(
                out,
                "{:<24}{:>16.1}{alive:>16}",
                burst.contender, burst.ended_ms
            )?;
        }
        Ok(())
    }

    fn write_idle(&self, out: &mut String) -> Result {
        let Some(first) = self.others.idle.first() else {
            return Ok(());
        };
        writeln!(
            out,
            "\nMEMORY of an idle worker of {}, nothing preloaded, in KiB\n{:<24}{:>10}{:>10}{:>10}",
            first.workers, "CONTENDER", "PRIVATE", "PSS", "RSS"
        )?;
        for idle in &self.others.idle {
            writeln!(
                out,
                "{:<24}{:>10.0}{:>10.0}{:>10.0}",
                idle.contender, idle.private_kib, idle.proportional_kib, idle.resident_kib
            )?;
        }
        Ok(())
    }

    fn write_rest(&self, out: &mut String) -> Result {
        if let Some(crowd) = &self.others.crowd {
            writeln!(
                out,
                "\nSTARTS with {} workers alive, in µs; each takes {:.0} bytes and {:.3} descriptors in mpforkd",
                crowd.alive, crowd.daemon_bytes_per_worker, crowd.daemon_descriptors_per_worker,
            )?;
            write_starts(out, &crowd.starts)?;
        }
        if let Some(drift) = &self.others.drift {
            writeln!(
                out,
                "\nDRIFT over {} starts with {} workers alive and {} MB preloaded: {:.1} µs to the first \
                 instruction at first, {:.1} at last",
                drift.starts, drift.alive, drift.preload_mb, drift.first_us, drift.last_us
            )?;
            if let (Some(first), Some(last)) = (drift.first_fork_us, drift.last_fork_us) {
                writeln!(
                    out,
                    "of it forking, as mpforkd says: {first:.1} µs, {last:.1} at last"
                )?;
            }
        }
        if let Some(first) = self.others.writers.first() {
            writeln!(
                out,
                "\nWRITERS: {} workers that each write to 1 page of 100, {} MB preloaded\n{:<24}{:>12}{:>14}",
                first.workers, first.preload_mb, "CONTENDER", "PSS MB", "WRITING ms"
            )?;
            for one in &self.others.writers {
                writeln!(
                    out,
                    "{:<24}{:>12.1}{:>14.3}",
                    one.contender, one.proportional_mb, one.writing_ms
                )?;
            }
        }
        Ok(())
    }
}

fn write_starts(out: &mut String, starts: &[Start]) -> Result {
    writeln!(
        out,
        "{:<24}{:<20}{:>10}{:>10}",
        "CONTENDER", "FIGURE", "P50", "P99"
    )?;
    for start in starts {
        writeln!(
            out,
            "{:<24}{:<20}{:>10.1}{:>10.1}",
            start.contender, start.figure, start.p50_us, start.p99_us
        )?;
    }
    Ok(())
}

fn write_shares(out: &mut String, shares: &[SpareShare]) -> Result {
    for share in shares {
        writeln!(
            out,
            "{} with {} MB: {} of {} starts by a spare",
            share.contender, share.preload_mb, share.by_spare, share.starts
        )?;
    }
    Ok(())
}
