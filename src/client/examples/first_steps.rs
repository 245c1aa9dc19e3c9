//! Learn two concepts, associate them, and ask.
//!
//!     cargo run -p sutra-client --example first_steps
//!
//! Needs a server; the first argument is its address, 127.0.0.1:50050 without one.

#![allow(clippy::print_stdout, reason = "an example shows what it gets")]

use sutra_client::{
    Association, AssociationKind, Client, ClientError, Concept, ConceptId, Neighborhood,
};

/// Returns the contents of the dog's neighbours.
pub(crate) async fn run(address: &str) -> Result<Vec<String>, ClientError> {
    // A namespace is made by the first write that names it.
    let client = Client::connect(address).await?.namespace("first-steps");
    client.learn(Concept::new("dog").content("a domesticated carnivore")).await?;
    client.learn(Concept::new("animal").content("a living organism")).await?;
    client
        .associate(Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL))
        .await?;

    // What comes back is read where it was received: nothing is deserialized.
    if let Some(dog) = client.query("dog").await? {
        println!("{}: {} (confidence {})", dog.name, dog.content, dog.confidence);
    }
    let mut contents = Vec::new();
    for neighbor in client.neighbors(Neighborhood::of("dog")).await?.neighbors.iter() {
        if let Some(concept) = client.query(ConceptId::from(neighbor.id)).await? {
            println!("  {}: {}", concept.name, concept.content);
            contents.push(concept.content.to_string());
        }
    }
    Ok(contents)
}

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50050".to_owned());
    run(&address).await.map(drop)
}
