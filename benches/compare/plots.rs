//! The report's plots, as SVG files beside it.

use std::path::Path;

use plotters::prelude::*;

use super::cell::{Cell, Figure, distinct};
use super::record::{Record, Section};
use super::tables::{OPEN, QUERY};
use crate::Outcome;

const SIZE: (u32, u32) = (1000, 460);
/// Where the legend begins, in pixels from the left.
const LEGEND_X: i32 = 700;
const FONT: &str = "sans-serif";

/// One contender's line.
struct Line<'a> {
    name: &'a str,
    /// The contender's colour, which is the same in all plots.
    color: RGBAColor,
    points: Vec<(f64, f64)>,
}

/// A plot: its file, its caption, and what is drawn.
struct Plot<'a> {
    file: String,
    title: String,
    x: &'static str,
    y: &'static str,
    /// How a value on the x axis is written.
    x_label: fn(&f64) -> String,
    lines: Vec<Line<'a>>,
}

/// Writes all plots, and returns their file names and captions.
pub(crate) fn write(record: &Record, folder: &Path) -> Outcome<Vec<(String, String)>> {
    let mut plots = Vec::new();
    if let Some(section) = record.section(QUERY) {
        let mut depths = distinct(section.cells.iter().map(|cell| cell.shape.depth));
        depths.sort_unstable();
        plots.extend(depths.into_iter().flat_map(|depth| by_connections(record, section, depth)));
    }
    for section in record.sections.iter().filter(|section| section.id != OPEN) {
        plots.extend([(1, 1), (64, 1), (64, 16)].map(|load| by_quantile(record, section, load)));
    }
    if let Some(section) = record.section(OPEN) {
        plots.extend([Figure::P50, Figure::P99].map(|figure| by_rate(record, section, figure)));
    }
    let mut written = Vec::new();
    for mut plot in plots {
        // A line needs two points.
        plot.lines.retain(|line| line.points.len() > 1);
        if !plot.lines.is_empty() {
            draw(&folder.join(&plot.file), &plot)?;
            written.push((plot.file, plot.title));
        }
    }
    Ok(written)
}

fn count(connections: &f64) -> String {
    format!("{connections:.0}")
}

fn by_connections<'r>(record: &'r Record, section: &'r Section, depth: usize) -> [Plot<'r>; 3] {
    [
        (Figure::Rate, "throughput", "requests/s"),
        (Figure::Cpu, "cpu", "server CPU a request, µs"),
        (Figure::P99, "p99", "p99, µs"),
    ]
    .map(|(figure, name, y)| Plot {
        file: format!("query-{name}-depth-{depth}.svg"),
        title: format!("Query, {depth} in flight on each connection: {}", figure.name()),
        x: "connections",
        y,
        x_label: count,
        lines: lines(record, section, |cell| {
            let figures = cell.figures(figure).filter(|_| cell.shape.depth == depth)?;
            Some((cell.shape.connections as f64, figures.median))
        }),
    })
}

fn by_rate<'r>(record: &'r Record, section: &'r Section, figure: Figure) -> Plot<'r> {
    Plot {
        file: format!("query-open-{}.svg", figure.name()),
        title: format!("Query at fixed rates: {} from the time a request was due", figure.name()),
        x: "requests/s due",
        y: "µs",
        x_label: count,
        lines: lines(record, section, |cell| {
            Some((cell.shape.rate?, cell.figures(figure)?.median))
        }),
    }
}

/// The latencies of the typical round by quantile. The axis counts the nines of the quantile.
fn by_quantile<'r>(
    record: &'r Record,
    section: &'r Section,
    (connections, depth): (usize, usize),
) -> Plot<'r> {
    let line = |cell: &'r Cell| {
        let within =
            cell.typical()?.distribution.iter().filter(|(quantile, _)| *quantile < 0.99995);
        let points =
            within.map(|(quantile, ns)| (-(1.0 - quantile).log10(), *ns as f64 / 1000.0)).collect();
        Some(Line { name: &cell.contender, color: color(record, &cell.contender), points })
    };
    let cells = section
        .cells
        .iter()
        .filter(|cell| (cell.shape.connections, cell.shape.depth) == (connections, depth));
    Plot {
        file: format!("{}-latency-{connections}x{depth}.svg", section.id),
        title: format!("{}, {connections} × {depth}: latency by quantile", section.title),
        x: "quantile",
        y: "µs",
        x_label: |nines| format!("{} %", 100.0 * (1.0 - 10f64.powf(-nines))),
        lines: cells.filter_map(line).collect(),
    }
}

/// A contender's color, which depends on its place in the whole record.
fn color(record: &Record, name: &str) -> RGBAColor {
    let everybody = distinct(record.sections.iter().flat_map(names_of));
    Palette99::pick(everybody.iter().position(|known| *known == name).unwrap_or(0)).to_rgba()
}

/// The section's contenders, in the order of its rows.
fn names_of(section: &Section) -> Vec<&str> {
    distinct(section.cells.iter().map(|cell| cell.contender.as_str()))
}

/// A line for each contender of the section, through its cells' points.
fn lines<'r>(
    record: &Record,
    section: &'r Section,
    point: impl Fn(&Cell) -> Option<(f64, f64)>,
) -> Vec<Line<'r>> {
    let line = |name| {
        let cells = section.cells.iter().filter(|cell| cell.contender == name);
        let mut points: Vec<_> = cells.filter_map(&point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { name, color: color(record, name), points }
    };
    names_of(section).into_iter().map(line).collect()
}

fn draw(path: &Path, plot: &Plot<'_>) -> Outcome {
    let lines = &plot.lines[..];
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let range = |of: fn((f64, f64)) -> f64| {
        let lowest = all().map(of).fold(f64::INFINITY, f64::min);
        let highest = all().map(of).fold(0.0, f64::max);
        (lowest, highest)
    };
    let (xs, ys) = (range(|point| point.0), range(|point| point.1));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(LEGEND_X);
    let logarithmic_y = (ys.0.max(0.001) * 0.8..ys.1.max(0.001) * 1.25).log_scale();
    let mut builder = ChartBuilder::on(&left);
    builder.caption(&plot.title, (FONT, 17)).margin(12).x_label_area_size(40).y_label_area_size(80);
    // Quantiles are counted in nines, which is a logarithmic scale already. Counts and rates grow
    // by factors, and need one.
    if plot.x == "quantile" {
        let mut chart = builder.build_cartesian_2d(0.0..4.0, logarithmic_y)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(plot.x)
            .y_desc(plot.y)
            .x_labels(5)
            .x_max_light_lines(1)
            .x_label_formatter(&plot.x_label)
            .draw()?;
        series(&mut chart, lines, 0)?;
    } else {
        let mut chart = builder.build_cartesian_2d((xs.0..xs.1).log_scale(), logarithmic_y)?;
        chart
            .configure_mesh()
            .x_desc(plot.x)
            .y_desc(plot.y)
            .x_label_formatter(&plot.x_label)
            .draw()?;
        series(&mut chart, lines, 3)?;
    }
    legend(&right, lines)?;
    area.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, X> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, plotters::coord::combinators::LogCoord<f64>>>;

/// Draws the lines, with a dot of radius `dot` at each measured point.
fn series<'a, X>(chart: &mut Chart<'a, X>, lines: &[Line<'_>], dot: u32) -> Outcome
where
    X: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    for line in lines {
        let points = || line.points.iter().copied();
        chart.draw_series(LineSeries::new(points(), line.color.stroke_width(2)))?;
        if dot > 0 {
            chart
                .draw_series(points().map(|point| Circle::new(point, dot, line.color.filled())))?;
        }
    }
    Ok(())
}

/// Draws the legend beside the chart, where it hides nothing.
fn legend(area: &Area<'_>, lines: &[Line<'_>]) -> Outcome {
    for (line, y) in lines.iter().zip((60..).step_by(22)) {
        area.draw(&PathElement::new([(0, y), (18, y)], line.color.stroke_width(3)))?;
        area.draw(&Text::new(line.name, (26, y - 6), (FONT, 12)))?;
    }
    Ok(())
}
