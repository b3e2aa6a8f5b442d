"""Builds the compiled modules, ``jobs/**/*.pyx``, beside their sources: as a hook of hatchling, or as a script.

They are optional. Without a C compiler or Python's headers the installation goes on, and Marquee computes the same with
slower code. The modules use Python's stable ABI, so that one build serves every supported Python.

    python hatch_build.py    builds in this folder; fails if that does not work
"""

import importlib
import platform
import re
import sys
import sysconfig
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
ABI = ("Py_LIMITED_API", "0x030b0000")
"""Python 3.11 and later."""
OPTIONS = ("-O3", "-g0", "-Werror=implicit-function-declaration")


class BuildCompiled(BuildHookInterface[Any]):
    """Builds the compiled modules, and marks the wheel with the platform if that works."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build in place, for the wheel and for an editable installation alike."""
        del version
        try:
            built = build_in_place()
        except failures() as error:
            remove_built()
            self.app.display_warning(f"The compiled modules were not built, so slower code is used: {error}")
            return
        if built:
            build_data["artifacts"] += [path.relative_to(ROOT).as_posix() for path in built]
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{_platform()}"


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of a machine that cannot compile."""
    from setuptools import errors  # noqa: PLC0415 - heavy, and only where something is built

    return errors.BaseError, errors.CCompilerError, OSError


def build_in_place() -> list[Path]:
    """Compile each .pyx file to an extension module beside it; return the modules."""
    from setuptools import Distribution, Extension  # noqa: PLC0415 - as above

    sources = sorted((ROOT / "jobs").rglob("*.pyx"))
    # Before Cython's work, which is in vain without headers.
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        message = f"Python's headers are missing ({header}; Debian: apt-get install python3-dev)"
        raise OSError(message)
    cythonize: Any = importlib.import_module("Cython.Build").cythonize
    with tempfile.TemporaryDirectory() as scratch:
        extensions = cythonize(
            [
                Extension(
                    ".".join(source.relative_to(ROOT).with_suffix("").parts),
                    [source.relative_to(ROOT).as_posix()],
                    define_macros=[ABI, ("MARQUEE_SOURCE", str(checksum(source)))],
                    extra_compile_args=[*OPTIONS, f"-ffile-prefix-map={ROOT}=."],
                    extra_link_args=["-s"] if sys.platform == "linux" else [],
                    py_limited_api=True,
                )
                for source in sources
            ],
            build_dir=scratch,
            compiler_directives={"language_level": 3, "embedsignature": False},
            quiet=True,
        )
        command: Any = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        command.build_temp, command.inplace, command.force, command.verbose = scratch, True, True, 0
        command.ensure_finalized()
        command.run()
    return [ROOT / command.get_ext_filename(one.name) for one in extensions]


def checksum(source: Path) -> int:
    """Return what a module knows of its source, so that a stale one is not used."""
    return zlib.crc32(source.read_bytes())


def remove_built() -> None:
    """Remove what an earlier build made: it may be of other sources."""
    for source in (ROOT / "jobs").rglob("*.pyx"):
        for built in source.parent.glob(f"{source.stem}.*.so"):
            built.unlink()


def _platform() -> str:
    name = sysconfig.get_platform()
    if name.startswith("macosx"):
        # What is built here runs on this version and later ones.
        name = f"macosx-{platform.mac_ver()[0].partition('.')[0]}.0-{platform.machine()}"
    return re.sub(r"[-.]", "_", name)


if __name__ == "__main__":
    print(*(path.relative_to(ROOT) for path in build_in_place()))  # noqa: T201 - a script
