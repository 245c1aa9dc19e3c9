"""The Sutra storage server, as a binary that `pip install` puts beside the interpreter.

`sutra serve` runs it; so does `python -m sutra_server serve`, where the scripts' folder is not on
the PATH. A program that starts one finds it by `binary()`.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

__all__ = ["binary"]


def binary() -> Path:
    """Where the server's binary is.

    Looks where this installation has its scripts: of the environment, of the user, beside the
    package (`pip install --target`); then on the PATH.
    """
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    places = [*schemes, str(Path(__file__).parents[1] / "bin"), str(Path(sys.executable).parent)]
    for place in places:
        found = Path(place) / "sutra"
        if os.access(found, os.X_OK):
            return found
    on_path = shutil.which("sutra")
    if on_path is None:
        raise FileNotFoundError(
            f"no sutra in {', '.join(places)}, nor on the PATH; install sutra-server again"
        )
    return Path(on_path)
