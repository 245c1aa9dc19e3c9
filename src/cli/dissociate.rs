//! `sutra dissociate`: removes one association; the exit code says whether there was one.

use clap::Args;
use serde_json::json;
use sutra_client::Client;

use crate::exit::{Answer, Failure};
use crate::output::Output;
use crate::printable::{in_namespace, name};
use crate::target::{NamedAssociation, Place, Server};

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sutra dissociate dog animal --type hierarchical\n\n\
    An association is known by its two ends and its type. Others between the two stay, and so do \
    both concepts.")]
pub(crate) struct Dissociate {
    #[command(flatten)]
    named: NamedAssociation,
    #[command(flatten)]
    place: Place,
}

impl Dissociate {
    pub(crate) fn server(&self) -> &Server {
        &self.place.server
    }
}

pub(crate) async fn run(
    client: &Client,
    dissociate: &Dissociate,
    output: Output,
) -> Result<Answer, Failure> {
    let Dissociate { named, place } = dissociate;
    let NamedAssociation { source, target, kind } = named;
    let removed = client.namespace(&place.namespace).dissociate(source, target, *kind).await?;
    let value =
        json!({"removed": removed, "source": source, "target": target, "type": kind.to_string()});
    output.answer(&value, || {
        let ends = format!("{} → {} ({kind})", name(source), name(target));
        match removed {
            true => format!("removed {ends}"),
            false => format!("there is no {ends}{}", in_namespace(&place.namespace)),
        }
    })?;
    Ok(if removed { Answer::Yes } else { Answer::No })
}
