//! The distances that the next piece of work is to close: each a ratio of two contenders, taken round by round.

use super::contender::Instance;
use super::record::{Cell, Figure, Record, Shape, Spread};
use super::tables::{DISK, DURABLE, HEARTBEAT, QUERY, RELAXED};

/// A ratio by its name, as far as it could be measured.
pub(crate) struct Ratio {
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) spread: Option<Spread>,
}

/// Sutra beside everybody else, in the order of the tables.
pub(crate) fn ratios(record: &Record) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (section, sutra) in [
        (QUERY, Instance::Sutra),
        (DURABLE, Instance::Sutra),
        (RELAXED, Instance::SutraOs),
        (HEARTBEAT, Instance::Sutra),
    ] {
        section_ratios(record, section, sutra.name(), &mut ratios);
    }
    search_ratios(record, &mut ratios);
    for (section, ours, others) in PYTHON {
        for other in others {
            push(record, section, ours, other, Shape::closed((1, 1)), Figure::P50, &mut ratios);
        }
    }
    ratios
}

/// The Python tables, our client's row, and whom it stands beside.
pub(crate) const PYTHON: [(&str, &str, &[&str]); 2] =
    [("python-query", "sutra", &["floor", "grpc", "redis"]), ("python-learn", "sutra", &["floor", "grpc", "redis"])];

fn section_ratios(record: &Record, id: &str, sutra: &str, ratios: &mut Vec<Ratio>) {
    let Some(section) = record.sections.iter().find(|section| section.id == id) else { return };
    for cell in section.cells.iter().filter(|cell| cell.contender == sutra) {
        // One connection waits: latency says it. Many: what a core gets done, and what each request takes of it.
        let figures: &[Figure] =
            if cell.shape.connections * cell.shape.depth == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] };
        for other in section.cells.iter().filter(|other| other.shape == cell.shape && other.contender != sutra) {
            for figure in figures {
                if other.contender == DISK && *figure == Figure::Cpu || other.contender.ends_with("polling") {
                    continue;
                }
                push(record, id, sutra, &other.contender, cell.shape, *figure, ratios);
            }
        }
    }
}

/// Our searches beside the others'; what runs in-process has one load, and stands beside all of ours.
fn search_ratios(record: &Record, ratios: &mut Vec<Ratio>) {
    let (ours, others): (Vec<_>, Vec<_>) =
        record.search.iter().map(|searched| &searched.cell).partition(|cell| cell.contender == Instance::Sutra.name());
    for ours in ours {
        let beside = |other: &&&Cell| other.shape == ours.shape || other.contender.ends_with("in-process");
        for other in others.iter().filter(beside) {
            let figures: &[Figure] =
                if ours.shape.connections == 1 { &[Figure::P50] } else { &[Figure::Rate, Figure::Cpu] };
            ratios.extend(figures.iter().map(|figure| Ratio {
                section: "search".to_owned(),
                name: format!("{} / {}, {}, {}", ours.contender, other.contender, ours.shape.name(), figure.name()),
                spread: ours.ratio(other, *figure),
            }));
        }
    }
}

fn push(
    record: &Record,
    section: &str,
    ours: &str,
    other: &str,
    shape: Shape,
    figure: Figure,
    ratios: &mut Vec<Ratio>,
) {
    let (Some(ours), Some(other)) = (record.cell(section, ours, shape), record.cell(section, other, shape)) else {
        return;
    };
    let figure_of = if other.contender == DISK && figure == Figure::P50 { Figure::Rate } else { figure };
    ratios.push(Ratio {
        section: section.to_owned(),
        name: format!("{} / {}, {}, {}", ours.contender, other.contender, shape.name(), figure_of.name()),
        spread: ours.ratio(other, figure_of),
    });
}
