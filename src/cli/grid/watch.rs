//! `sutra grid watch`: shows what happens, a line an event, until it is interrupted.

use sutra_client::grid::GridClient;

use super::args::Watch;
use super::show;
use crate::exit::{Answer, Failure};
use crate::output::Output;

pub(super) async fn run(
    grid: &GridClient,
    asked: &Watch,
    output: Output,
) -> Result<Answer, Failure> {
    let mut watch = grid.watch(asked.after).await?;
    output.note("watching; Ctrl-C ends it");
    while let Some(event) = watch.next().await? {
        output.answer(&show::event_json(&event), || show::event(&event))?;
    }
    Ok(Answer::Yes)
}
