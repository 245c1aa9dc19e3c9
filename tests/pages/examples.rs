// The Rust examples of the pages, as they are printed. Written by the test beside it (rust.rs).
mod readme_md_0 {
use sutra_client::{Association, AssociationKind, Client, ClientError, Concept, PathQuery, SearchQuery};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    // The embeddings of a namespace are all as long: WordNet's have 384 numbers, those of this one two.
    let client = Client::connect(crate::pages::rust::at("127.0.0.1:50050")).await?.namespace("pets");
    client.learn(Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.7])).await?;
    client.associate(Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL)).await?;
    if let Some(dog) = client.query("dog").await? {
        println!("{} (confidence {})", dog.content, dog.confidence);
    }
    let how = client.path(PathQuery::between("dog", "animal").max_depth(4)).await?;
    let like = client.search(SearchQuery::like([0.1, 0.7]).k(5).near("animal", 2)).await?;
    println!("{} paths, {} alike", how.paths.len(), like.hits.len());
    Ok(())
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_grid_readme_md_0 {
use std::time::Duration;

use sutra_client::grid::SpawnNode;
use sutra_client::{ClientError, GridClient};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let grid = GridClient::new(crate::pages::rust::at("127.0.0.1:7001")).with_timeout(Duration::from_secs(30)).with_retries(3);
    let wanted = SpawnNode { agent_id: "rack-1".into(), name: "images".into(), ..SpawnNode::default() };
    println!("it listens on {}", grid.spawn_node(&wanted).await?.report.endpoint);
    Ok(())
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_association_rs_0 {
fn main() {
use sutra_client::{Association, AssociationKind};
let is_a = Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL);
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_blocking_rs_0 {
fn main() -> Result<(), impl std::fmt::Debug> {
use sutra_client::{Concept, blocking::Client};

let client = Client::connect(crate::pages::rust::at("127.0.0.1:50050"))?;
client.learn(Concept::new("dog").content("a domesticated carnivore"))?;
if let Some(dog) = client.query("dog")? {
    println!("{}", dog.content);
}
Ok::<(), sutra_client::ClientError>(())
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_client_rs_0 {
use sutra_client::{Client, ClientError, ConceptId, PathQuery};
async fn example(client: Client) -> Result<(), ClientError> {
let found = client.path(PathQuery::between("dog", "cat").max_depth(8)).await?;
if let Some(path) = found.paths.first() {
    for (edge, to) in path.edges.iter().zip(&path.concepts[1..]) {
        println!("{} {}", if edge.forward { "->" } else { "<-" }, ConceptId(*to));
    }
}
Ok(())
}
pub fn run() {
crate::pages::rust::block_on(async { example(crate::pages::rust::client().await).await });
}
}
mod src_client_client_rs_1 {
use sutra_client::{Client, ClientError, ConceptId, SearchQuery};
async fn example(client: Client) -> Result<(), ClientError> {
for hit in client.search(SearchQuery::like([0.1, 0.7]).k(5)).await?.hits.iter() {
    println!("{:.3} {}", hit.similarity, ConceptId(hit.id));
}
Ok(())
}
pub fn run() {
crate::pages::rust::block_on(async { example(crate::pages::rust::client().await).await });
}
}
mod src_client_concept_rs_0 {
fn main() {
use sutra_client::Concept;
let dog = Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.2]).confidence(0.9);
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_grid_client_rs_0 {
use std::time::Duration;
async fn example() -> Result<(), sutra_client::ClientError> {
use sutra_client::GridClient;
use sutra_client::grid::SpawnNode;

let grid = GridClient::new(crate::pages::rust::at("grid-master:7002")).with_timeout(Duration::from_secs(30)).with_retries(3);
for agent in grid.agents().await? {
    println!("{} on {} has {} of {} storage nodes", agent.agent_id, agent.hostname, agent.nodes, agent.max_nodes);
}
let wanted = SpawnNode { agent_id: "rack-1".into(), name: "words".into(), ..SpawnNode::default() };
println!("it listens on {}", grid.spawn_node(&wanted).await?.report.endpoint);
Ok(())
}
pub fn run() {
crate::pages::rust::block_on(example());
}
}
mod src_client_lib_rs_0 {
use sutra_client::{Association, AssociationKind, Client, ClientError, Concept, ConceptId, Direction, Neighborhood};
use sutra_client::{PathQuery, SearchQuery};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    // The embeddings of a namespace are all as long: those of this one have two numbers.
    let client = Client::connect(crate::pages::rust::at("127.0.0.1:50050")).await?.namespace("pets");

    client.learn(Concept::new("dog").content("a domesticated carnivore").embedding(vec![0.1, 0.7])).await?;
    client.learn(Concept::new("animal").content("a living organism")).await?;
    client.associate(Association::between("dog", "animal").kind(AssociationKind::HIERARCHICAL)).await?;

    if let Some(dog) = client.query("dog").await? {
        println!("{} (confidence {})", dog.content, dog.confidence);
    }
    let parents = Neighborhood::of("dog").direction(Direction::Out).kinds([AssociationKind::HIERARCHICAL]);
    for neighbor in client.neighbors(parents).await?.neighbors.iter() {
        println!("{}", ConceptId::from(neighbor.id));
    }
    for path in client.path(PathQuery::between("dog", "animal")).await?.paths.iter() {
        println!("{} associations away", path.edges.len());
    }
    for hit in client.search(SearchQuery::like([0.1, 0.7]).k(3)).await?.hits.iter() {
        println!("{} {}", ConceptId::from(hit.id), hit.similarity);
    }
    Ok(())
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_lib_rs_1 {
use std::time::Duration;
async fn example() -> Result<(), sutra_client::ClientError> {
let client = sutra_client::Client::connect(crate::pages::rust::at("storage.internal:50050"))
    .with_timeout(Duration::from_secs(2)) // for a call in all: connecting, waiting, retries, answer
    .with_retries(5)
    .with_pool_size(2) // connections per server core
    .await?;
Ok(())
}
pub fn run() {
crate::pages::rust::block_on(example());
}
}
mod src_client_lib_rs_2 {
use sutra_client::{Client, Concept};
async fn example(client: Client) -> Result<(), sutra_client::ClientError> {
let numbers = (0..1_000).map(|n| Concept::new(format!("number-{n}")).content(n.to_string()));
let mut answers = client.learn_many(numbers);
while let Some(answer) = answers.next().await {
    if let Err(error) = answer {
        eprintln!("not learned: {error}");
    }
}
Ok(())
}
pub fn run() {
crate::pages::rust::block_on(async { example(crate::pages::rust::client().await).await });
}
}
mod src_client_lib_rs_3 {
use sutra_client::{Client, ClientError, Concept, Status};
async fn example(client: Client) {
match client.learn(Concept::new("dog").content("a domesticated carnivore")).await {
    Ok(sequence) => println!("stored, as write {sequence}"),
    // Too much to do, or about to restart, for as long as the client repeated it: ask for less, or later.
    Err(ClientError::Refused { status, .. }) if status.is_transient() => println!("later"),
    // Writes are refused until somebody has seen to the disk; reads go on.
    Err(ClientError::Refused { status: Status::StorageFull | Status::StorageFailed, message }) => println!("{message}"),
    // The request itself is wrong, and stays so: a number out of range, a name that is none, too many bytes.
    Err(error @ (ClientError::Refused { .. } | ClientError::InvalidName(_) | ClientError::TooLarge { .. })) => {
        println!("not a record: {error}");
    }
    // The write may have taken effect or not. Learning the same again is safe, unless others write this concept, too.
    Err(error @ (ClientError::TimedOut { .. } | ClientError::Closed { .. })) => println!("unknown: {error}"),
    // No server there, another version, a wrong address: no attempt was sent.
    Err(error) => println!("cannot reach the server: {error}"),
}
}
pub fn run() {
crate::pages::rust::block_on(async { example(crate::pages::rust::client().await).await });
}
}
mod src_client_neighborhood_rs_0 {
fn main() {
use sutra_client::{AssociationKind, Direction, Neighborhood};
let parents = Neighborhood::of("dog").direction(Direction::Out).kinds([AssociationKind::HIERARCHICAL]).limit(10);
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_path_query_rs_0 {
fn main() {
use sutra_client::{AssociationKind, PathQuery};
let chain = PathQuery::between("dog", "animal").kinds([AssociationKind::HIERARCHICAL]).max_depth(10).alternatives(3);
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
mod src_client_search_query_rs_0 {
fn main() {
use sutra_client::SearchQuery;
let sure = SearchQuery::like([0.1, 0.7]).k(20).minimum_confidence(0.5).near("dog", 2);
}
pub fn run() {
crate::pages::rust::Ended::succeeded(main());
}
}
pub const ALL: &[(&str, fn())] = &[
("README.md 0", readme_md_0::run),
("src/grid/README.md 0", src_grid_readme_md_0::run),
("src/client/association.rs 0", src_client_association_rs_0::run),
("src/client/blocking.rs 0", src_client_blocking_rs_0::run),
("src/client/client.rs 0", src_client_client_rs_0::run),
("src/client/client.rs 1", src_client_client_rs_1::run),
("src/client/concept.rs 0", src_client_concept_rs_0::run),
("src/client/grid/client.rs 0", src_client_grid_client_rs_0::run),
("src/client/lib.rs 0", src_client_lib_rs_0::run),
("src/client/lib.rs 1", src_client_lib_rs_1::run),
("src/client/lib.rs 2", src_client_lib_rs_2::run),
("src/client/lib.rs 3", src_client_lib_rs_3::run),
("src/client/neighborhood.rs 0", src_client_neighborhood_rs_0::run),
("src/client/path_query.rs 0", src_client_path_query_rs_0::run),
("src/client/search_query.rs 0", src_client_search_query_rs_0::run),
];
