//! `sutra delete`: deletes a concept and its associations, and says what was removed; the exit code
//! says whether anything was.

use clap::Args;
use serde_json::json;
use sutra_client::{Client, Deleted};

use crate::exit::{Answer, Failure};
use crate::known::not_known;
use crate::output::Output;
use crate::printable::name;
use crate::target::{Named, Server};
use crate::words::counted;

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra delete dog")]
pub(crate) struct Delete {
    /// Only where the concept has no associations; else it is refused
    #[arg(long)]
    unassociated: bool,
    #[command(flatten)]
    named: Named,
}

impl Delete {
    pub(crate) fn server(&self) -> &Server {
        self.named.server()
    }
}

pub(crate) async fn run(
    client: &Client,
    delete: &Delete,
    output: Output,
) -> Result<Answer, Failure> {
    let Delete { unassociated, named: delete } = delete;
    let client = client.namespace(&delete.place.namespace);
    let deleted = match unassociated {
        true => client.delete_unassociated(&delete.concept).await?,
        false => client.delete(&delete.concept).await?,
    };
    let is_any = deleted != Deleted::default();
    let Deleted { concept, associations } = deleted;
    let value = json!({
        "deleted": is_any,
        "name": delete.concept,
        "concept": concept,
        "associations": associations,
    });
    output.answer(&value, || match is_any {
        true => words(&name(&delete.concept), deleted),
        false => not_known(&[&delete.concept], &delete.place.namespace),
    })?;
    Ok(if is_any { Answer::Yes } else { Answer::No })
}

fn words(shown: &str, deleted: Deleted) -> String {
    let associations = counted(deleted.associations, "association");
    match deleted {
        Deleted { concept: true, associations: 0 } => {
            format!("deleted {shown}; it had no associations")
        }
        Deleted { concept: true, .. } => format!("deleted {shown} and {associations}"),
        Deleted { concept: false, .. } => {
            format!("removed {associations} of {shown}, which was not learned")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_said_as_it_was() {
        for (concept, associations, expected) in [
            (true, 0, "deleted dog; it had no associations"),
            (true, 1, "deleted dog and 1 association"),
            (true, 1200, "deleted dog and 1,200 associations"),
            (false, 2, "removed 2 associations of dog, which was not learned"),
        ] {
            assert_eq!(words("dog", Deleted { concept, associations }), expected);
        }
    }
}
