"""The slice of WordNet that the repository keeps."""

from __future__ import annotations

import json
from collections import defaultdict
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[3] / "tests" / "data" / "wordnet"
TYPES = {"semantic": 0, "causal": 1, "temporal": 2, "hierarchical": 3, "compositional": 4}


def lines(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def concepts() -> list[dict[str, str]]:
    """Dicts of id and content."""
    return lines("concepts.jsonl")


def associations() -> list[dict[str, Any]]:
    """Arguments of `learn_association`."""
    return [
        {
            "source_id": line["source"],
            "target_id": line["target"],
            "assoc_type": TYPES[line["type"]],
        }
        for line in lines("associations.jsonl")
    ]


def embeddings() -> Any:
    """A row for each concept, in their order."""
    return np.load(FOLDER / "embeddings.npy")


def wire_id(name: str) -> str:
    """The id that a reply gives for a name."""
    return md5(name.encode()).hexdigest()


def neighbors() -> dict[str, set[str]]:
    """What `get_neighbors` finds, by name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in associations():
        found[line["source_id"]].add(wire_id(line["target_id"]))
        found[line["target_id"]].add(wire_id(line["source_id"]))
    return dict(found)
