//! `sutra delete`: deletes a concept and its associations; the exit code says whether it was there.

use serde_json::json;
use sutra_client::Client;

use crate::args::Named;
use crate::exit::{Answer, Failure};
use crate::output::{Output, in_namespace, name};

pub(crate) async fn run(client: &Client, delete: &Named, output: Output) -> Result<Answer, Failure> {
    let deleted = client.namespace(&delete.place.namespace).delete(&delete.concept).await?;
    let shown = name(&delete.concept);
    output.answer(&json!({ "deleted": deleted, "name": delete.concept }), || match deleted {
        true => format!("deleted {shown} and its associations"),
        false => format!("{shown} is not known{}", in_namespace(&delete.place.namespace)),
    })?;
    Ok(if deleted { Answer::Yes } else { Answer::No })
}
