"""Both clients against the real server: every method, over real data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import wordnet
from servers import Server

from sutra_storage_client import ServerError, StorageClient


def test_the_old_documentations_checklist_holds(server: Server) -> None:
    client = StorageClient(server.address)
    health = client.health_check()
    assert health["healthy"] is True and health["status"] == "ok" and health["uptime_seconds"] >= 0
    sequence = client.learn_concept("test", "content")
    assert type(sequence) is int and sequence > 0
    stats = client.stats()
    assert stats["concepts"] == stats["total_concepts"] == 1
    assert stats["edges"] == stats["total_edges"] == 0
    assert stats["written"] == stats["writes"] == 1
    assert stats["dropped"] == stats["drops"] == 0
    assert {"pending", "reconciliations", "uptime_seconds", "vectors"} <= set(stats)
    assert client.flush() is None
    client.close()


def test_a_concept_is_read_as_it_was_learned(make_client: Any, shared_server: Server) -> None:
    with make_client(shared_server.address) as client:
        first = client.learn_concept("read-1", "naïve 犬 \0 content", [0.1, 0.2], 0.5, 0.25)
        second = client.learn_concept("read-2", "", embedding=None)
        third = client.learn_association("read-1", "read-2")
        assert first < second < third, "sequences rise with every write"
        concept = client.query_concept("read-1")
        expected = {"content": "naïve 犬 \0 content", "strength": 0.5, "confidence": 0.25}
        assert concept == {"id": wordnet.wire_id("read-1"), **expected}
        assert client.query_concept(concept["id"]) == concept, (
            "an id from an answer finds the concept"
        )
        assert client.get_concept("read-1") == concept
        assert client.contains("read-1") is True and client.contains("read-3") is False
        assert client.query_concept("read-3") is None
        assert client.query_concept("read-2")["content"] == ""


def test_learning_again_replaces_the_content_and_keeps_the_associations(
    make_client: Any, shared_server: Server
) -> None:
    with make_client(shared_server.address) as client:
        client.learn_concept("again-1", "old")
        client.learn_concept("again-2", "other")
        client.learn_association("again-1", "again-2", 3, 0.5)
        client.learn_concept("again-1", "new")
        assert client.query_concept("again-1")["content"] == "new"
        assert client.get_neighbors("again-1") == [wordnet.wire_id("again-2")]
        assert client.get_neighbors("again-2") == [wordnet.wire_id("again-1")]
        assert client.get_neighbors("again-3") == []


def test_large_and_small_contents_go_both_ways(make_client: Any, shared_server: Server) -> None:
    with make_client(shared_server.address) as client:
        for size in [0, 1, 60_000, 65_500, 65_536, 200_000]:
            content = "x" * size
            client.learn_concept("size", content)
            assert client.query_concept("size")["content"] == content


def test_what_the_server_refuses_is_a_runtime_error_and_the_connection_goes_on(
    make_client: Any, shared_server: Server
) -> None:
    with make_client(shared_server.address, pool_size=1, retries=0) as client:
        for vector in [[float("nan")], np.array([np.inf])]:
            with pytest.raises(RuntimeError) as raised:
                client.learn_concept("refused", "text", vector)
            assert isinstance(raised.value, ServerError) and str(raised.value)
        with pytest.raises(UnicodeEncodeError):
            client.learn_concept("refused", "half a \ud800 pair")
        for call in [
            lambda: client.learn_concept_v2("text"),
            lambda: client.learn_batch_v2(["text"]),
        ]:
            with pytest.raises(ServerError, match="embed"):
                call()
        assert client.query_concept("refused") is None


def test_the_first_refused_record_is_named_and_those_before_it_are_stored(
    make_client: Any, shared_server: Server
) -> None:
    name = f"named-{make_client.__name__}"
    records = [
        (f"{name}-{index}", "text", [float("nan")] if index == 700 else None)
        for index in range(5000)
    ]
    with make_client(shared_server.address) as client:
        with pytest.raises(ServerError) as raised:
            client.learn_many(records)
        assert raised.value.index == 700
        found = client.query_many(f"{name}-{index}" for index in range(701))
        assert all(concept is not None for concept in found[:700]) and found[700] is None


def test_one_text_is_not_taken_for_several_records_or_ids(
    make_client: Any, shared_server: Server
) -> None:
    with make_client(shared_server.address) as client:
        for call in [
            lambda: client.query_many("test"),
            lambda: client.learn_many([("text-1", "b"), "abcd"]),
        ]:
            with pytest.raises(TypeError, match="str"):
                call()
        client.learn_many([["text-2", "a list"], {"concept_id": "text-3", "content": "a dict"}])
        contents = [
            concept["content"] for concept in client.query_many(["text-1", "text-2", "text-3"])
        ]
        assert contents == ["b", "a list", "a dict"]


def test_the_empty_id_is_one_like_any_other(make_client: Any, server: Server) -> None:
    with make_client(server.address) as client:
        assert (
            client.query_concept("") is None
            and client.contains("") is False
            and client.get_neighbors("") == []
        )
        client.learn_concept("", "of nothing")
        client.learn_association("", "0" * 32)
        assert client.query_concept("")["id"] == wordnet.wire_id("")
        assert client.get_neighbors("0" * 32) == [wordnet.wire_id("")]
        assert client.get_neighbors("") == ["0" * 32]


def test_wordnet_is_learned_and_found_again(make_client: Any, server: Server) -> None:
    concepts, associations = wordnet.concepts(), wordnet.associations()
    with make_client(server.address) as client:
        sequences = client.learn_many(
            {"concept_id": concept["id"], "content": concept["content"], "embedding": embedding}
            for concept, embedding in zip(concepts, wordnet.embeddings())
        )
        assert len(sequences) == len(concepts) == 3900
        assert len(client.associate_many(associations)) == 4604
        found = client.query_many(concept["id"] for concept in concepts)
        assert [(concept["id"], concept["content"]) for concept in found] == [
            (wordnet.wire_id(concept["id"]), concept["content"]) for concept in concepts
        ]
        neighbors = wordnet.neighbors()
        for name in [concept["id"] for concept in concepts[::5]]:
            ids = client.get_neighbors(name)
            assert len(ids) == len(set(ids)) and set(ids) == neighbors.get(name, set()), name
        stats = client.stats()
        assert (stats["concepts"], stats["edges"], stats["vectors"]) == (3900, 4604, 3900)


def test_one_association_is_read_with_its_type_and_none_where_there_is_none(
    make_client: Any, shared_server: Server
) -> None:
    source, target = f"source-{make_client.__name__}", f"target-{make_client.__name__}"
    with make_client(shared_server.address) as client:
        client.learn_association(source, target, 3, 0.75)
        assert client.get_association(source, target) == {
            "source_id": wordnet.wire_id(source),
            "target_id": wordnet.wire_id(target),
            "type": 3,
            "confidence": 0.75,
        }
        assert client.get_association(target, source) is None


def test_all_ids_are_listed_and_a_deleted_one_is_not(make_client: Any, server: Server) -> None:
    names = [f"c{number}" for number in range(300)]
    with make_client(server.address) as client:
        assert client.get_all_concept_ids() == []
        client.learn_many((name, "text") for name in names)
        client.learn_association("c1", "c2")
        assert sorted(client.get_all_concept_ids()) == sorted(map(wordnet.wire_id, names))
        assert client.delete_concept("c1") is True
        assert client.delete_concept("c1") is False
        assert client.query_concept("c1") is None
        assert client.get_neighbors("c2") == []
        assert sorted(client.get_all_concept_ids()) == sorted(
            wordnet.wire_id(name) for name in names if name != "c1"
        )


def test_one_association_is_removed_by_its_ends_and_type(make_client: Any, server: Server) -> None:
    with make_client(server.address) as client:
        client.learn_association("dog", "animal", 3)
        client.learn_association("dog", "animal", 1)
        assert client.delete_association("dog", "animal") is False, "there is none of type 0"
        assert client.delete_association("dog", "animal", 3) is True
        assert client.delete_association("dog", "animal", 3) is False
        assert client.get_association("dog", "animal")["type"] == 1
        assert client.stats()["edges"] == 1


def test_a_learn_is_the_whole_record_and_an_id_is_no_name(make_client: Any, server: Server) -> None:
    with make_client(server.address) as client:
        client.learn_concept("dog", "barks", embedding=[1.0, 0.0], strength=2.0, confidence=0.5)
        client.learn_association("dog", "animal", 3)
        dog = client.query_concept("dog")["id"]
        client.learn_concept(dog, "howls")
        assert client.query_concept("dog") == {
            "id": dog,
            "content": "howls",
            "strength": 1.0,
            "confidence": 1.0,
        }
        assert client.vector_search([1.0, 0.0]) == [], "the embedding was not given again"
        assert client.get_neighbors("dog") == [wordnet.wire_id("animal")], "associations stay"


def test_what_only_associations_name_is_known_until_it_is_deleted(
    make_client: Any, server: Server
) -> None:
    with make_client(server.address) as client:
        client.learn_association("g1", "g2")
        client.learn_association("g1", "g1")
        assert client.find_path("g1", "g1") == [wordnet.wire_id("g1")]
        assert sorted(client.get_neighbors("g1")) == sorted(map(wordnet.wire_id, ["g1", "g2"]))
        assert client.delete_concept("g1") is True, "its associations were removed"
        assert client.delete_concept("g1") is False and client.delete_concept("g2") is False
        assert client.find_path("g1", "g1") is None and client.get_neighbors("g2") == []
        assert client.stats()["edges"] == 0


def test_paths_and_what_is_alike_are_found_over_wordnet(make_client: Any, server: Server) -> None:
    concepts, embeddings = wordnet.concepts(), wordnet.embeddings()
    with make_client(server.address) as client:
        client.learn_many(
            {"concept_id": concept["id"], "content": concept["content"], "embedding": embedding}
            for concept, embedding in zip(concepts, embeddings)
        )
        client.associate_many(wordnet.associations())

        dog, ant_lion = wordnet.wire_id("n02084071"), wordnet.wire_id("n02264232")
        path = client.find_path("n02084071", "n02264232")
        assert path[0] == dog and path[-1] == ant_lion and len(path) == 5
        assert all(there in client.get_neighbors(here) for here, there in zip(path, path[1:]))
        assert client.find_path(ant_lion, dog, max_depth=4) is not None, (
            "ids do as well, and both directions"
        )
        assert client.find_path("n02084071", "n02264232", max_depth=3) is None
        assert client.find_path("n02084071", "n02084071", max_depth=0) == [dog]
        assert client.find_path("n02084071", "unheard of") is None
        assert client.find_path("unheard of", "unheard of") is None

        exact = embeddings.astype("float32")
        exact /= (exact**2).sum(axis=1, keepdims=True) ** 0.5
        for number in range(0, len(concepts), 100):
            found = client.vector_search(embeddings[number], k=5)
            similarities = [similarity for _, similarity in found]
            assert len(found) == 5 and similarities == sorted(similarities, reverse=True)
            assert found[0][0] == wordnet.wire_id(concepts[number]["id"])
            assert similarities[0] == pytest.approx(1, abs=1e-5)
            best = sorted(exact @ exact[number], reverse=True)[:5]
            assert similarities[1] == pytest.approx(best[1], abs=1e-4)
        assert client.vector_search([0.0] * 384, k=0) == []
        assert [similarity for _, similarity in client.vector_search([0.0] * 384, k=200)] == [
            0.0
        ] * 200
        for query, words in [([0.5, 0.5], "384"), ([float("nan")] * 384, "finite")]:
            with pytest.raises(ServerError, match=words):
                client.vector_search(query)
        assert len(client.vector_search(embeddings[0], k=1001)) == 1001
        with pytest.raises(ServerError, match="1001"):
            client.vector_search(embeddings[0], k=1002)
