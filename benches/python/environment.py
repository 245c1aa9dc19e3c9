"""Makes an interpreter with the packages that the clients need, below FOLDER, unless it is there.
Prints as JSON what it has, and which clients' packages can't be had.

    python3 environment.py FOLDER CALLS

CALLS is the folder of storage.proto. pip's own messages are not passed on, as they may name hosts
and folders that do not belong in a report: only the packages are named.
"""

import json
import pathlib
import subprocess
import sys

EVERYBODY = ["msgpack", "numpy"]
# For each client: the packages that it needs besides, and the imports that show that they work.
CLIENTS = {
    "grpcio": (["grpcio", "grpcio-tools"], "import grpc, grpc_tools.protoc"),
    "redis": (["redis", "hiredis"], "import hiredis, redis"),
}


def run(*command):
    """What the command printed; None if it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def has(python, packages, imports):
    def imported():
        return run(python, "-c", imports) is not None

    if imported():
        return True
    print(f"fetching {' and '.join(packages)} (once)", file=sys.stderr)
    return run(python, "-m", "pip", "install", "--quiet", *packages) is not None and imported()


def main(folder, calls):
    python, stubs = folder / "bin/python", folder / "stubs"
    if run(python, "--version") is None:
        if run(sys.executable, "-m", "venv", "--clear", folder) is None:
            sys.exit("no virtual environment of Python could be made")
    if not has(python, EVERYBODY, "import msgpack, numpy"):
        sys.exit("msgpack and numpy can't be fetched or imported")
    stubs.mkdir(exist_ok=True)
    missing = {
        client: f"{' and '.join(packages)} can't be fetched or imported"
        for client, (packages, imports) in CLIENTS.items()
        if not has(python, packages, imports)
    }
    compile_calls = [python, "-m", "grpc_tools.protoc", "-I", calls]
    compile_calls += [f"--python_out={stubs}", f"--grpc_python_out={stubs}", "storage.proto"]
    if "grpcio" not in missing and run(*compile_calls) is None:
        missing["grpcio"] = "storage.proto can't be compiled"
    wanted = EVERYBODY + [package for packages, _ in CLIENTS.values() for package in packages]
    listed = (run(python, "-m", "pip", "list", "--format", "freeze") or "").splitlines()
    versions = [line for line in listed if line.split("==")[0] in wanted]
    told = {"python": str(python), "stubs": str(stubs), "version": run(python, "--version")}
    print(json.dumps({**told, "packages": ", ".join(versions), "missing": missing}))


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
