"""`python -m sutra_server …` is `sutra …`."""

import os
import sys

from . import binary

if __name__ == "__main__":
    path = str(binary())
    # In place of this process: signals and the exit code are the server's.
    os.execv(path, [path, *sys.argv[1:]])
