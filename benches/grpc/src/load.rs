//! A load from one thread: several connections, each with several calls in flight.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use sutra_load::{Length, Measured, Plan, Report, ServerCpu};
use tokio::task::LocalSet;

use crate::client::{Operation, Vectors};
use crate::transport::{Traffic, connect};
use crate::window::{Asked, Window};
use crate::{Outcome, closed_loop, open_loop, pin};

#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long, value_enum)]
    operation: Operation,
    #[arg(long)]
    connections: usize,
    /// Calls in flight on each connection
    #[arg(long)]
    depth: usize,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    warm_up: f64,
    /// Calls a second that are due, whether or not earlier ones were answered
    #[arg(long)]
    rate: Option<f64>,
    /// The CPU that the load runs on
    #[arg(long)]
    cpu: usize,
    /// The server's process, whose CPU time is measured
    #[arg(long)]
    server_pid: u32,
    /// What searches ask for
    #[command(flatten)]
    queries: Vectors,
}

pub(crate) fn run(options: &Options) -> Outcome {
    options.queries.read()?;
    pin(options.cpu)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, measure(options))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn measure(options: &Options) -> Outcome<Report> {
    let traffic = Arc::new(Traffic::default());
    let mut channels = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        channels.push(connect(options.address, &traffic).await?);
    }
    let channels = Rc::new(channels);
    let since = Duration::from_secs_f64(options.warm_up);
    let window = Window {
        clock: Instant::now(),
        since,
        until: since + Duration::from_secs_f64(options.seconds),
    };
    let asked = Asked { operation: options.operation, depth: options.depth };
    let load = async {
        match options.rate {
            None => closed_loop::run(&channels, asked, window).await,
            Some(rate) => open_loop::run(&channels, asked, rate, window, &traffic).await,
        }
    };
    // CPU times and bytes are read beside the load, when measuring begins and when it ends.
    let server_cpu = ServerCpu::of_process(options.server_pid);
    let watch = tokio::task::spawn_local(watch(window, Arc::clone(&traffic), server_cpu));
    let counted = load.await?;
    let mut measured = watch.await?.map_err(|error| error.to_string())?;
    (measured.answered, measured.latencies) = (counted.answered, counted.latencies);
    (measured.polled, measured.overdue) = (counted.polled, counted.overdue);
    let plan = Plan {
        connections: options.connections,
        depth: options.depth,
        rate: options.rate,
        length: Length::Duration(window.until - window.since),
        ..Plan::new(options.address)
    };
    let operation = format!("{:?}", options.operation).to_lowercase();
    Ok(Report::of(&operation, &plan, &[measured]))
}

/// Reads CPU times and bytes at the beginning and the end of the window, a little late. The loops
/// count answers by the exact times.
async fn watch(
    window: Window,
    traffic: Arc<Traffic>,
    mut cpu: ServerCpu,
) -> Result<Measured, sutra_load::LoadError> {
    tokio::time::sleep_until((window.clock + window.since).into()).await;
    let cpu_before = cpu.read()?;
    let (own_before, bytes_before) = (thread_cpu(), traffic.bytes());
    tokio::time::sleep_until((window.clock + window.until).into()).await;
    let (own, bytes) = (thread_cpu(), traffic.bytes());
    let mut measured = Measured::new();
    measured.cpu = Some((cpu_before, cpu.read()?));
    measured.load_cpu = own - own_before;
    measured.bytes_sent = bytes.0 - bytes_before.0;
    measured.bytes_received = bytes.1 - bytes_before.1;
    measured.seconds = (window.until - window.since).as_secs_f64();
    Ok(measured)
}

/// CPU time that this thread, which is the whole load, has used, in seconds.
fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
