from __future__ import annotations

from typing import Any

import pytest
from peers import KINDS


@pytest.fixture(params=list(KINDS))
def make_client(request: pytest.FixtureRequest) -> Any:
    """Both kinds of client, called alike."""
    return KINDS[request.param]
