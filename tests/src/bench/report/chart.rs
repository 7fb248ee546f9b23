//! Time to the first instruction by what is preloaded, drawn: one line for each contender, times on a
//! logarithmic scale.
//!
//! Written by hand: the libraries for charts write each colour into the shapes, where a style is needed
//! that follows the reader's, light or dark.

use super::super::protocol::Figure;
use super::super::way::Way;
use super::Report;
use std::fmt::{Result, Write};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
/// Names stand right of the lines' ends.
const RIGHT: f64 = 650.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 410.0;
/// Between two names.
const LINE: f64 = 16.0;

/// Legible on white and on black alike.
const COLOURS: [&str; 8] = [
    "#3f88c5", "#d1495b", "#2a9d6f", "#b8860b", "#8e6bbf", "#c45f1c", "#5f8a8b", "#b0569a",
];

const STYLE: &str = "text{font:13px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}\
    .grid{stroke:#ddd}.line{fill:none;stroke-width:2}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}}";

/// A contender's medians: the number of the size, and µs.
struct Line {
    way: Way,
    points: Vec<(usize, f64)>,
}

impl Line {
    /// Others' are dashed. What preloads nothing is dotted, and as far from the first instruction whatever
    /// it would have to load then.
    fn dashes(&self) -> &'static str {
        match (self.way.preloads(), self.way.is_peer()) {
            (false, _) => " stroke-dasharray=\"1 4\"",
            (true, true) => " stroke-dasharray=\"6 4\"",
            (true, false) => "",
        }
    }
}

impl Report {
    pub(super) fn chart(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.draw(&mut out);
        out
    }

    fn lines(&self) -> Vec<Line> {
        let ways = self.plan.ways.iter();
        let lines = ways.map(|way| {
            let sizes = self.plan.sizes_mb.iter().enumerate();
            let points = sizes.filter_map(|(at, size)| {
                let row = self.latency(*way, *size, Figure::FirstInstruction)?;
                Some((at, row.p50_us.max(0.1)))
            });
            Line {
                way: *way,
                points: points.collect(),
            }
        });
        lines.filter(|line| !line.points.is_empty()).collect()
    }

    fn draw(&self, out: &mut String) -> Result {
        let lines = self.lines();
        let all = || {
            lines
                .iter()
                .flat_map(|line| line.points.iter().map(|point| point.1))
        };
        let lowest = all().fold(f64::MAX, f64::min).min(1e6).log10().floor();
        let highest = all().fold(1.0, f64::max).log10().ceil().max(lowest + 1.0);
        let y =
            |micros: f64| BOTTOM - (micros.log10() - lowest) / (highest - lowest) * (BOTTOM - TOP);
        let steps = index(self.plan.sizes_mb.len().max(2) - 1);
        let x = |at: usize| LEFT + index(at) / steps * (RIGHT - LEFT);

        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"Time to the first instruction by preloaded size\">\n<style>{STYLE}</style>"
        )?;
        let title = "From the request to the first instruction, by what is preloaded (median)";
        writeln!(
            out,
            "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>"
        )?;
        let mut power = lowest;
        while power <= highest {
            let micros = 10f64.powf(power);
            let at = y(micros);
            writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text text-anchor=\"end\" x=\"{:.1}\" \
                 y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                duration(micros)
            )?;
            power += 1.0;
        }
        for (at, size) in self.plan.sizes_mb.iter().enumerate() {
            let size = match size {
                0 => "nothing".to_owned(),
                size if size % 1000 == 0 => format!("{} GB", size / 1000),
                size => format!("{size} MB"),
            };
            let (x, y) = (x(at), BOTTOM + 24.0);
            writeln!(
                out,
                "<text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y}\">{size}</text>"
            )?;
        }
        for (number, line) in lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let dashes = line.dashes();
            let points = line.points.iter().map(|(at, micros)| (x(*at), y(*micros)));
            let mut points: Vec<_> = points.collect();
            if let [(_, y)] = points[..]
                && !line.way.preloads()
            {
                points.push((RIGHT, y));
            }
            let path: Vec<_> = points
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            writeln!(
                out,
                "<polyline class=\"line\" stroke=\"{colour}\"{dashes} points=\"{}\"/>",
                path.join(" ")
            )?;
            for (x, y) in points {
                writeln!(
                    out,
                    "<circle fill=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
                )?;
            }
        }
        let ends = lines
            .iter()
            .filter_map(|line| Some(y(line.points.last()?.1)));
        for (number, at) in spread(&ends.collect::<Vec<_>>()).into_iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let name = lines[number].way.name();
            let note = match lines[number].way.preloads() {
                true => "",
                false => " (loads nothing)",
            };
            let dashes = lines[number].dashes();
            writeln!(
                out,
                "<path class=\"line\" stroke=\"{colour}\"{dashes} d=\"M{:.1} {at:.1}h14\"/><text x=\"{:.1}\" \
                 y=\"{:.1}\">{name}{note}</text>",
                RIGHT + 12.0,
                RIGHT + 32.0,
                at + 4.0
            )?;
        }
        writeln!(out, "</svg>")
    }
}

#[allow(clippy::cast_precision_loss)]
fn index(number: usize) -> f64 {
    number as f64
}

fn duration(micros: f64) -> String {
    match micros {
        micros if micros < 1e3 => format!("{micros:.0} µs"),
        micros if micros < 1e6 => format!("{:.0} ms", micros / 1e3),
        micros => format!("{:.0} s", micros / 1e6),
    }
}

/// Heights for names, each as near to its own as leaves a line between two.
fn spread(heights: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|a, b| heights[*a].total_cmp(&heights[*b]));
    let mut spread = heights.to_vec();
    let mut free = f64::MIN;
    for at in &order {
        spread[*at] = spread[*at].max(free);
        free = spread[*at] + LINE;
    }
    // What is too low moves up, and what is above it.
    let mut free = BOTTOM + LINE;
    for at in order.iter().rev() {
        spread[*at] = spread[*at].min(free);
        free = spread[*at] - LINE;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_on_each_other() {
        let spread = spread(&[100.0, BOTTOM, 101.0, 100.5, BOTTOM + 10.0]);
        let mut sorted = spread.clone();
        sorted.sort_by(f64::total_cmp);
        for pair in sorted.windows(2) {
            assert!(pair[1] - pair[0] >= LINE - 0.01, "{spread:?}");
        }
        assert!(spread[0] < spread[3] && spread[3] < spread[2], "{spread:?}");
    }
}
