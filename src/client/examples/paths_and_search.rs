//! How two concepts are connected, and what is like a vector.
//!
//!     cargo run -p sutra-client --example paths_and_search
//!
//! Needs a server; the first argument is its address, 127.0.0.1:50050 without one.

#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use sutra_client::{Association, Client, ClientError, Concept, ConceptId, PathQuery, SearchQuery};

/// Returns how many associations the shortest path has, and the id that is most like the vector.
pub(crate) async fn run(address: &str) -> Result<(usize, Option<ConceptId>), ClientError> {
    let client = Client::connect(address).await?.namespace("paths-and-search");
    for (name, vector) in [("poodle", [0.9, 0.1]), ("dog", [0.8, 0.2]), ("animal", [0.5, 0.5])] {
        client.learn(Concept::new(name).embedding(vector.to_vec())).await?;
    }
    for (source, target) in [("poodle", "dog"), ("dog", "animal")] {
        client.associate(Association::between(source, target)).await?;
    }

    let paths =
        client.path(PathQuery::between("poodle", "animal").max_depth(4).alternatives(3)).await?;
    let length = paths.paths.first().map_or(0, |path| path.edges.len());
    println!("poodle is {length} associations away from animal");

    // Only among what is at most one association away from the dog.
    let hits = client.search(SearchQuery::like([1.0, 0.0]).k(2).near("dog", 1)).await?;
    for hit in hits.hits.iter() {
        println!("{} {:.3}", ConceptId::from(hit.id), hit.similarity);
    }
    let best = hits.hits.first().map(|hit| ConceptId::from(hit.id));
    Ok((length, best))
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50050".to_owned());
    run(&address).await.map(drop)
}
