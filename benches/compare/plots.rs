//! The report's plots, as SVG files beside it.

use std::path::Path;

use plotters::prelude::*;

use super::record::{Cell, Figure, Record, Section};
use super::tables::{OPEN, QUERY};
use crate::Outcome;

const SIZE: (u32, u32) = (900, 480);
const FONT: &str = "sans-serif";

/// One contender's line.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// What a plot says of its axes.
struct Axes<'a> {
    title: String,
    x: &'a str,
    y: &'a str,
    /// How a place on the x axis is written.
    x_label: &'a dyn Fn(&f64) -> String,
}

/// Writes all plots; their file names and captions.
pub(crate) fn write(record: &Record, folder: &Path) -> Outcome<Vec<(String, String)>> {
    let mut plots = Vec::new();
    let mut plot = |file: &str, axes: &Axes<'_>, lines: Vec<Line<'_>>| -> Outcome {
        // A line needs two points.
        let lines: Vec<_> = lines.into_iter().filter(|line| line.points.len() > 1).collect();
        if !lines.is_empty() {
            draw(&folder.join(file), axes, &lines)?;
            plots.push((file.to_owned(), axes.title.clone()));
        }
        Ok(())
    };
    let count = |connections: &f64| format!("{connections:.0}");
    if let Some(section) = find(record, QUERY) {
        for depth in depths(section) {
            for (figure, name, y) in [
                (Figure::Rate, "throughput", "requests/s"),
                (Figure::Cpu, "cpu", "server CPU a request, µs"),
                (Figure::P99, "p99", "p99, µs"),
            ] {
                let axes = Axes {
                    title: format!("Query, {depth} in flight on each connection: {}", figure.name()),
                    x: "connections",
                    y,
                    x_label: &count,
                };
                let lines = by_connections(section, depth, figure);
                plot(&format!("query-{name}-depth-{depth}.svg"), &axes, lines)?;
            }
        }
    }
    for section in record.sections.iter().filter(|section| section.id != OPEN) {
        for (connections, depth) in [(1, 1), (64, 1), (64, 16)] {
            let axes = Axes {
                title: format!("{}, {connections} × {depth}: latency by quantile", section.title),
                x: "quantile",
                y: "µs",
                x_label: &|nines: &f64| format!("{}", 1.0 - 10f64.powf(-nines)),
            };
            let cells =
                section.cells.iter().filter(|cell| (cell.shape.connections, cell.shape.depth) == (connections, depth));
            let lines = cells.filter_map(distribution).collect();
            plot(&format!("{}-latency-{connections}x{depth}.svg", section.id), &axes, lines)?;
        }
    }
    if let Some(section) = find(record, OPEN) {
        for figure in [Figure::P50, Figure::P99] {
            let axes = Axes {
                title: format!("Query at fixed rates: {} from the time a request was due", figure.name()),
                x: "requests/s due",
                y: "µs",
                x_label: &count,
            };
            let file = format!("query-open-{}.svg", figure.name());
            plot(&file, &axes, by_rate(section, figure))?;
        }
    }
    Ok(plots)
}

fn find<'r>(record: &'r Record, id: &str) -> Option<&'r Section> {
    record.sections.iter().find(|section| section.id == id)
}

fn depths(section: &Section) -> Vec<usize> {
    let mut depths: Vec<_> = section.cells.iter().map(|cell| cell.shape.depth).collect();
    depths.sort_unstable();
    depths.dedup();
    depths
}

/// The section's contenders, in the order of its rows.
fn names(section: &Section) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for cell in &section.cells {
        if !names.contains(&cell.contender.as_str()) {
            names.push(&cell.contender);
        }
    }
    names
}

fn by_connections(section: &Section, depth: usize, figure: Figure) -> Vec<Line<'_>> {
    let point = |cell: &Cell| Some((cell.shape.connections as f64, cell.figures(figure)?.median));
    lines(section, |cell| (cell.shape.depth == depth).then(|| point(cell)).flatten())
}

fn by_rate(section: &Section, figure: Figure) -> Vec<Line<'_>> {
    lines(section, |cell| Some((cell.shape.rate?, cell.figures(figure)?.median)))
}

fn lines(section: &Section, point: impl Fn(&Cell) -> Option<(f64, f64)>) -> Vec<Line<'_>> {
    let line = |name| {
        let cells = section.cells.iter().filter(|cell| cell.contender == name);
        let mut points: Vec<_> = cells.filter_map(&point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name, points }
    };
    names(section).into_iter().map(line).collect()
}

/// The typical round's latencies, over how many nines the quantile has.
fn distribution(cell: &Cell) -> Option<Line<'_>> {
    let report = cell.typical()?;
    let within = report.distribution.iter().filter(|(quantile, _)| *quantile < 1.0);
    let points = within.map(|(quantile, ns)| (-(1.0 - quantile).log10(), *ns as f64 / 1000.0)).collect();
    Some(Line { name: &cell.contender, points })
}

fn draw(path: &Path, axes: &Axes<'_>, lines: &[Line<'_>]) -> Outcome {
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let range = |of: fn((f64, f64)) -> f64| {
        let lowest = all().map(of).fold(f64::INFINITY, f64::min);
        let highest = all().map(of).fold(0.0, f64::max);
        (lowest, highest)
    };
    let (xs, ys) = (range(|point| point.0), range(|point| point.1));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let logarithmic_y = (ys.0.max(0.001) * 0.8..ys.1.max(0.001) * 1.25).log_scale();
    let mut builder = ChartBuilder::on(&area);
    builder.caption(&axes.title, (FONT, 18)).margin(12).x_label_area_size(40).y_label_area_size(80);
    // Quantiles are spread by their nines already; counts and rates are powers.
    if axes.x == "quantile" {
        let mut chart = builder.build_cartesian_2d(xs.0..xs.1, logarithmic_y)?;
        chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).x_label_formatter(axes.x_label).draw()?;
        series(&mut chart, lines)?;
    } else {
        let mut chart = builder.build_cartesian_2d((xs.0..xs.1).log_scale(), logarithmic_y)?;
        chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).x_label_formatter(axes.x_label).draw()?;
        series(&mut chart, lines)?;
    }
    area.present()?;
    Ok(())
}

type Chart<'a, X> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, plotters::coord::combinators::LogCoord<f64>>>;

fn series<'a, X>(chart: &mut Chart<'a, X>, lines: &[Line<'_>]) -> Outcome
where
    X: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    for (at, line) in lines.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
        drawn.label(line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 12))
        .draw()?;
    Ok(())
}
