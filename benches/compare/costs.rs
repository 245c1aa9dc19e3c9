//! What CPU and memory figures mean in instances and money: plain arithmetic on stated assumptions.

use super::cell::{Cell, Figure, Shape};
use super::contenders::{GRPC, MEMCACHED, OLD, OLD_UNSYNCED, REDIS, SUTRA};
use super::record::Record;
use super::tables::{OPEN, PRICED_RATE, QUERY, kept_up};

/// The load that is priced: queries a second, and idle connections.
const QUERIES_PER_SECOND: f64 = 1e6;
const IDLE_CONNECTIONS: f64 = 1e6;
/// An instance that clouds rent out: its cores, its memory, its price, and the share of it that is
/// used. The price is a rounded one of general-purpose machines of that size, on demand, in 2025.
/// Whoever pays another price scales the last column.
const CORES: f64 = 8.0;
const MEMORY_GB: f64 = 32.0;
const DOLLARS_PER_HOUR: f64 = 0.40;
const UTILIZATION: f64 = 0.6;
const HOURS_A_YEAR: f64 = 8760.0;

/// One contender's bill.
pub(crate) struct Bill {
    pub(crate) contender: &'static str,
    /// The server's CPU time in µs a query at [`PRICED_RATE`]. For a contender that does not keep
    /// up with that rate, the figure is the one with 64 connections and one request in flight on
    /// each.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) keeps_up: bool,
    pub(crate) bytes_each: Option<f64>,
}

/// The value of an assumption, by the name of its gap in `report.md`.
pub(crate) fn assumption(gap: &str) -> String {
    match gap {
        "millions" => (QUERIES_PER_SECOND / 1e6).to_string(),
        "idle_millions" => (IDLE_CONNECTIONS / 1e6).to_string(),
        "cores" => CORES.to_string(),
        "gigabytes" => MEMORY_GB.to_string(),
        "percent" => format!("{:.0}", UTILIZATION * 100.0),
        "utilization" => UTILIZATION.to_string(),
        "hourly" => format!("{DOLLARS_PER_HOUR:.2}"),
        "yearly" => format!("{:.0}", DOLLARS_PER_HOUR * HOURS_A_YEAR),
        _ => PRICED_RATE.to_string(),
    }
}

pub(crate) fn bills(record: &Record) -> Vec<Bill> {
    let busy = Shape::closed((64, 1));
    let bill = |name: &'static str| {
        // No query waits for the disk, so the tables of queries have one row for both kinds of old
        // server.
        let queried = if name == OLD_UNSYNCED.name { OLD.name } else { name };
        let cpu = |cell: &Cell| Some(cell.figures(Figure::Cpu)?.median);
        let keeping_up =
            open_loop_cell(record, queried, PRICED_RATE).filter(|cell| kept_up(cell, PRICED_RATE));
        let cpu_us = keeping_up.or_else(|| record.cell(QUERY, queried, busy)).and_then(cpu);
        Bill {
            contender: name,
            cpu_us,
            keeps_up: keeping_up.is_some(),
            bytes_each: record.idle_bytes(name),
        }
    };
    let priced = [GRPC.name, OLD_UNSYNCED.name, REDIS.name, MEMCACHED.name, SUTRA.name];
    priced
        .into_iter()
        .map(bill)
        .filter(|bill| bill.cpu_us.is_some() || bill.bytes_each.is_some())
        .collect()
}

fn open_loop_cell<'a>(record: &'a Record, contender: &str, rate: f64) -> Option<&'a Cell> {
    record
        .section(OPEN)?
        .cells
        .iter()
        .find(|cell| cell.contender == contender && cell.shape.rate == Some(rate))
}

impl Bill {
    /// CPUs that the queries keep busy.
    pub(crate) fn cores(&self) -> Option<f64> {
        Some(QUERIES_PER_SECOND * self.cpu_us? / 1e6)
    }

    pub(crate) fn instances_for_cpu(&self) -> Option<f64> {
        Some((self.cores()? / (CORES * UTILIZATION)).ceil())
    }

    /// Memory of the idle connections, in GB.
    pub(crate) fn gigabytes(&self) -> Option<f64> {
        Some(IDLE_CONNECTIONS * self.bytes_each? / 1e9)
    }

    pub(crate) fn instances_for_memory(&self) -> Option<f64> {
        Some((self.gigabytes()? / (MEMORY_GB * UTILIZATION)).ceil())
    }

    /// Dollars a year for the greater of the two numbers of instances.
    pub(crate) fn a_year(&self) -> Option<f64> {
        let cpu = self.instances_for_cpu()?;
        Some(cpu.max(self.instances_for_memory().unwrap_or(0.0)) * DOLLARS_PER_HOUR * HOURS_A_YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_follows_from_its_arithmetic() {
        let bill = Bill {
            contender: "one",
            cpu_us: Some(6.0),
            keeps_up: true,
            bytes_each: Some(40_000.0),
        };
        // 6 cores of 8 x 0.6, and 40 GB of 32 x 0.6: 2 instances and 3.
        assert_eq!((bill.cores(), bill.instances_for_cpu()), (Some(6.0), Some(2.0)));
        assert_eq!((bill.gigabytes(), bill.instances_for_memory()), (Some(40.0), Some(3.0)));
        assert_eq!(bill.a_year().map(f64::round), Some(10_512.0));
    }

    #[test]
    fn what_was_not_measured_costs_nothing_known() {
        let bill = Bill { contender: "one", cpu_us: None, keeps_up: false, bytes_each: None };
        assert_eq!(
            (bill.instances_for_cpu(), bill.instances_for_memory(), bill.a_year()),
            (None, None, None)
        );
    }
}
