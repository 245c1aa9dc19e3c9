//! The concepts of a namespace, page by page, and one association by its ends.

use std::collections::HashMap;

use crate::support::Server;
use rkyv::rancor::Error;
use sutra_client::{Association, AssociationKind, Concept, ConceptId};
use sutra_testing::raw::Raw;
use sutra_wire::{
    AssociationKey, AssociationRecord, Checked, Concepts, ConceptsRequest, CoreLayout, Header,
    Opcode, Status, limits,
};

const CORES: u16 = 4;

fn id(name: &str) -> [u8; 16] {
    ConceptId::from_name(name).unwrap().0
}

fn ask<T>(raw: &mut Raw, opcode: Opcode, request: &T) -> sutra_testing::raw::Reply
where
    T: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<
                rkyv::util::AlignedVec,
                rkyv::ser::allocator::ArenaHandle<'a>,
                Error,
            >,
        >,
{
    raw.ask(
        Header { opcode: opcode as u8, request: 1, ..Header::default() },
        &rkyv::to_bytes::<Error>(request).unwrap(),
    )
}

#[test]
fn every_concept_is_listed_exactly_once_while_others_are_learned() {
    let server = Server::start(&["--cores", &CORES.to_string()]);
    let client = server.client();
    let learn = |names: Vec<String>, namespace: &str| {
        let client = client.namespace(namespace);
        assert!(client.learn_many(names.iter().map(Concept::new)).all(|answer| answer.is_ok()));
    };
    learn((0..2000).map(|number| format!("concept-{number}")).collect(), "");
    learn((0..300).map(|number| format!("concept-{number}")).collect(), "other");
    // Ends of associations that are not learned are no concepts.
    client.associate(Association::between("concept-7", "never learned")).unwrap();

    let server = server.kill().start();
    let client = server.client();
    let mut listed: HashMap<[u8; 16], usize> = HashMap::new();
    for (number, page) in client.concept_pages().limit(64).enumerate() {
        let page = page.unwrap();
        assert!(page.ids.len() <= 64);
        page.ids.iter().for_each(|id| *listed.entry(*id).or_default() += 1);
        client.learn(Concept::new(format!("late-{number}"))).unwrap();
    }
    assert!(listed.values().all(|times| *times == 1));
    assert!((0..2000).all(|number| listed.contains_key(&id(&format!("concept-{number}")))));
    let late = (0..).take_while(|number| client.query(format!("late-{number}")).unwrap().is_some());
    let known =
        2000 + late.filter(|number| listed.contains_key(&id(&format!("late-{number}")))).count();
    assert_eq!(listed.len(), known, "and nothing else");

    let pages: Vec<_> =
        client.namespace("other").concept_pages().map(|page| page.unwrap().ids.len()).collect();
    assert_eq!(
        (pages.len(), pages.iter().sum::<usize>()),
        (usize::from(CORES), 300),
        "a page a core"
    );
    let nowhere: Vec<_> =
        client.namespace("nowhere").concept_pages().map(|page| page.unwrap().ids.len()).collect();
    assert_eq!(nowhere, [0]);
}

#[test]
fn a_page_is_the_same_from_every_core_and_what_makes_no_sense_lists_nothing() {
    let server = Server::start(&["--cores", &CORES.to_string()]);
    let client = server.client();
    assert!(
        client
            .learn_many((0..100).map(|number| Concept::new(number.to_string())))
            .all(|answer| answer.is_ok())
    );
    let mut pages = Vec::new();
    for core in 0..CORES {
        let mut raw = Raw::open_on(server.address, core);
        let mut request = ConceptsRequest { limit: 10, ..ConceptsRequest::default() };
        let mut listed = Vec::new();
        loop {
            let reply = ask(&mut raw, Opcode::Concepts, &request);
            let page = Checked::<Concepts>::new(&reply.payload).unwrap();
            listed.extend_from_slice(&page.ids);
            request.cursor = page.cursor.to_native();
            if request.cursor == 0 {
                break;
            }
        }
        assert_eq!(listed.len(), 100);
        pages.push(listed);
        for cursor in [u64::MAX, u64::from(CORES) << 32, 1 << 63, u64::from(u32::MAX)] {
            let request = ConceptsRequest { cursor, ..ConceptsRequest::default() };
            let reply = ask(&mut raw, Opcode::Concepts, &request);
            assert!(Checked::<Concepts>::new(&reply.payload).unwrap().ids.is_empty(), "{cursor:x}");
        }
        let too_many =
            ConceptsRequest { limit: limits::MAX_CONCEPTS + 1, ..ConceptsRequest::default() };
        assert_eq!(ask(&mut raw, Opcode::Concepts, &too_many).status(), Status::InvalidArgument);
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
}

#[test]
fn an_association_is_read_as_it_was_stored_by_its_kind_or_as_the_lowest_from_every_core() {
    let server = Server::start(&["--cores", &CORES.to_string()]);
    let client = server.client();
    let stored = |target: &str, kind, confidence| {
        client
            .associate(
                Association::between("hub", target)
                    .kind(AssociationKind(kind))
                    .confidence(confidence),
            )
            .unwrap();
    };
    let targets: Vec<String> = (0..20).map(|number| format!("target-{number}")).collect();
    for target in &targets {
        stored(target, 7, 0.5);
        stored(target, 3, 0.25);
        stored(target, 70_000, 1.0);
    }
    stored("target-0", 3, 0.75);

    let server = server.kill().start();
    for core in 0..CORES {
        let mut raw = Raw::open_on(server.address, core);
        let mut read = |source: &str, target: &str, kind| {
            let key = AssociationKey {
                source: id(source),
                target: id(target),
                namespace: String::new(),
                kind,
            };
            let reply = ask(&mut raw, Opcode::Association, &key);
            if reply.status() == Status::NotFound {
                return None;
            }
            let record = Checked::<AssociationRecord>::new(&reply.payload).unwrap().to_owned();
            assert_eq!((record.source, record.target), (id(source), id(target)));
            assert!(record.created > 0 && record.created <= record.updated);
            Some((record.kind, record.confidence))
        };
        assert_eq!(read("hub", "target-0", None), Some((3, 0.75)));
        assert_eq!(read("hub", "target-1", None), Some((3, 0.25)));
        assert_eq!(read("hub", "target-1", Some(7)), Some((7, 0.5)));
        assert_eq!(read("hub", "target-19", Some(70_000)), Some((70_000, 1.0)));
        assert_eq!(read("hub", "target-1", Some(4)), None);
        assert_eq!(read("target-1", "hub", None), None, "it leads the other way");
        assert_eq!(read("hub", "unheard of", None), None);
    }
    let owners = targets.iter().map(|target| CoreLayout::new(CORES).owner(&ConceptId(id(target))));
    assert_eq!(
        owners.collect::<std::collections::HashSet<_>>().len(),
        usize::from(CORES),
        "ends on all cores"
    );

    let client = server.client();
    let found = client.association("hub", "target-1", Some(AssociationKind(7))).unwrap().unwrap();
    assert_eq!((found.kind.to_native(), found.confidence.to_native()), (7, 0.5));
    assert!(client.association("hub", "unheard of", None).unwrap().is_none());
    assert!(client.namespace("nowhere").association("hub", "target-1", None).unwrap().is_none());
}

#[test]
fn sources_that_are_not_learned_are_listed_and_so_is_what_a_store_is_made_of() {
    let server = Server::start(&["--cores", &CORES.to_string(), "--id-rule", "legacy"]);
    let client = server.client();
    client.learn(Concept::new("learned")).unwrap();
    client.learn(Concept::new("deleted")).unwrap();
    for (source, target) in [
        ("learned", "only a target"),
        ("deleted", "learned"),
        ("learned", "deleted"),
        ("removed again", "gone"),
    ] {
        client.associate(Association::between(source, target)).unwrap();
    }
    let many: Vec<String> = (0..300).map(|number| format!("source-{number}")).collect();
    for source in &many {
        client.associate(Association::between(source, "only a target")).unwrap();
    }
    let other = client.namespace("other");
    other.associate(Association::between("elsewhere", "learned")).unwrap();
    client.delete("deleted").unwrap();
    client.delete("removed again").unwrap();

    let server = server.kill().start();
    let client = server.client();
    let listed = |namespace: &str| {
        let pages = client.namespace(namespace).unlearned_source_pages().limit(7);
        let mut ids: Vec<_> = pages.flat_map(|page| page.unwrap().ids.to_vec()).collect();
        ids.sort_unstable();
        ids
    };
    let mut expected: Vec<_> = many.iter().map(|name| id(name)).collect();
    expected.sort_unstable();
    assert_eq!(listed(""), expected);
    assert_eq!(listed("other"), [id("elsewhere")]);
    assert_eq!(listed("nowhere"), Vec::<[u8; 16]>::new());

    let info = client.store_info().unwrap().checked().to_owned();
    assert_eq!(
        (info.id_rule.as_str(), info.namespaces),
        ("legacy", vec!["".into(), "other".into()])
    );
}
