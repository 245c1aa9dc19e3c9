"""Puts the server's binary into the wheel, and says which systems the wheel is for.

The binary is the one that SUTRA_BINARY names; by default the release build of this checkout. Its
own version is the wheel's. The tag names the oldest glibc that has all that the binary takes from
it, read from the binary itself.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# The libraries that every system with such a glibc has (PEP 600), of those that a Rust program
# with parts in C++ may need.
EVERYWHERE = re.compile(
    r"(ld-linux-.*|lib(c|dl|m|mvec|pthread|rt|gcc_s|stdc\+\+))\.so\.\d+"
)
ARCHITECTURES = {"x64": "x86_64", "AArch64": "aarch64"}


def binary(root: str) -> Path:
    """The binary that goes into the wheel."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(root).parents[1] / "target"))
    path = Path(os.environ.get("SUTRA_BINARY", target / "release" / "sutra"))
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: build it (cargo build --release), or name one with SUTRA_BINARY"
        )
    return path


def version(path: Path) -> str:
    """The version that the binary says: `0.1.0` of `sutra 0.1.0 (fe80ec3 2026-11-30)`."""
    said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[1]


def platform(path: Path) -> str:
    """The systems that the binary runs on, as wheels name them: `manylinux_2_34_x86_64`."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        needed = [tag.needed for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")]
        strange = [name for name in needed if not EVERYWHERE.fullmatch(name)]
        if strange:
            raise ValueError(f"{path} needs {', '.join(strange)}, which not every system has")
        symbols = elf.get_section_by_name(".gnu.version_r")
        assert isinstance(symbols, GNUVerNeedSection)
        names = [
            version.name for _, versions in symbols.iter_versions() for version in versions
        ]
        architecture = ARCHITECTURES[elf.get_machine_arch()]
    glibc = [re.fullmatch(r"GLIBC_2\.(\d+)(?:\.\d+)?", name) for name in names]
    oldest = max(int(found.group(1)) for found in glibc if found)
    return f"manylinux_2_{oldest}_{architecture}"


class BinaryVersion(MetadataHookInterface):
    """The wheel's version is the binary's."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["version"] = version(binary(self.root))


class BinaryInWheel(BuildHookInterface):  # type: ignore[type-arg]
    """The binary among the scripts, and the tag."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        path = binary(self.root)
        build_data["shared_scripts"] = {str(path): "sutra"}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform(path)}"
