"""Prints the seccomp profile for containers, which is kept in seccomp.json beside this file.

It allows what systemd lets a service do (its group @system-service, which `systemd-analyze` lists),
io_uring among it, and takes away what a server has no use for: namespaces and keys. Docker's and
containerd's own profiles allow about as much, but no io_uring.
"""

from __future__ import annotations

import json
import subprocess

# Of the group, in part by a rule of their own below.
REFUSED = {"add_key", "clone", "clone3", "keyctl", "request_key", "setns", "unshare"}
# Newer systemd has these in a group of their own.
IO_URING = {"io_uring_enter", "io_uring_register", "io_uring_setup"}
# The flags of clone(2) that make namespaces: CLONE_NEWNS and the other seven.
NEW_NAMESPACES = 0x7E020000
# The answer of a kernel that does not have the call: programs know what to do then. glibc starts
# threads by clone(2) where clone3(2) says so, whose flags a profile can't see. That call is named
# by itself, as older Docker takes no answer for all that is refused.
ENOSYS = 38


def group(name: str, seen: set[str]) -> set[str]:
    """The system calls of a group, those of the groups in it included."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    calls: set[str] = set()
    for line in said.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@") and word not in seen:
            seen.add(word)
            calls |= group(word, seen)
        elif word and not word.startswith(("#", "@")):
            calls.add(word)
    return calls


def profile() -> dict[str, object]:
    """The profile, as the OCI runtime specification has it."""
    allowed = (group("@system-service", set()) | IO_URING) - REFUSED
    threads = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [threads]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }


if __name__ == "__main__":
    print(json.dumps(profile(), indent=2))
