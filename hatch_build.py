"""Builds the compiled parts beside their source, where there is a C compiler and Python's headers; else without them.

Called by hatchling for every installation, editable ones too. The compiler is the one that Python itself was built
with, or CC. They keep to Python's stable interface, so one file serves all versions from 3.11 on.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = {
    Path("monitor", "rules", "compiled", "core.c"): Path("monitor", "rules", "_core.abi3.so"),
    Path("monitor", "events", "compiled", "overlap.c"): Path("monitor", "events", "_overlap.abi3.so"),
}


class Compiled(BuildHookInterface[Any]):
    """Compiles the parts; a wheel with them is one of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's interface
        """Compile before hatchling collects what it packs."""
        for source, built in PARTS.items():
            Path(self.root, built).unlink(missing_ok=True)
            if self.target_name != "wheel" or os.environ.get("MONITOR_PURE"):
                continue
            why = build(Path(self.root, source), Path(self.root, built))
            if why:
                self.app.display_warning(f"{built.parent.name} run in Python, several times as slow: {why}")
                continue
            build_data["artifacts"].append(f"/{built}")
            build_data["pure_python"] = False
            build_data["infer_tag"] = True


def build(source: Path, built: Path, *flags: str) -> str:
    """Compile one part; return why it cannot be, or ""."""
    if os.name != "posix" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it is built for Linux and macOS, and for Python with its lock"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    linking = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    # No contraction: two roundings where Python has two.
    how = [
        "-O2",
        "-ffp-contract=off",
        "-fPIC",
        "-fvisibility=hidden",
        *linking,
        f"-I{sysconfig.get_path('include')}",
        *flags,
    ]
    command = [*compiler, *how, str(source), "-o", str(built), "-lm"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - the machine's compiler
    except OSError as error:
        return f"{compiler[0]}: {error.strerror}"
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else next((line for line in lines if "error" in line), "the compiler failed")
