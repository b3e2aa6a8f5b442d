"""A disk that loses power: records a local store's writes, and replays what may be on the disk after a cut.

POSIX promises that what ``fsync`` covered is there. Everything else may be lost, alone or together, and names may
change in another order than their files' bytes. So at each cut there are many possible disks; ``disks_after`` yields
those without and with all that was pending, and some in between, chosen at random.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from marquee.storage.local import LocalStore

Kind = Literal["mkdir", "write", "rename", "link", "unlink", "rmdir", "sync"]


@dataclass(frozen=True)
class Step:
    """One change of the disk, or a sync. ``file`` numbers the file, whatever its names are."""

    kind: Kind
    path: Path
    file: int = 0
    source: Path = Path()
    data: bytes = b""

    @property
    def synced_by(self) -> object:
        """What a sync must name to make this step durable: the file for its bytes, the folder for a name."""
        return self.file if self.kind == "write" else self.path.parent


@dataclass
class Recorder:
    """Records the steps of local stores below a folder; one thread may write at a time."""

    root: Path
    steps: list[Step] = field(default_factory=list)
    _files: dict[Path, int] = field(default_factory=dict)
    _last: int = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record until the end of the block."""
        with ExitStack() as stack:
            for owner, name in (
                *((Path, name) for name in ("mkdir", "write_bytes", "replace", "hardlink_to", "unlink", "rmdir")),
                (LocalStore, "_sync"),
            ):
                original = getattr(owner, name)
                note = getattr(self, f"_{name.lstrip('_')}")
                stack.enter_context(mock.patch.object(owner, name, self._noted(original, note)))
            yield

    def _noted(self, original: Any, note: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            before = {path for path in arguments if isinstance(path, Path) and path.exists()}
            result = original(*arguments, **named)
            if any(isinstance(one, Path) and one.is_relative_to(self.root) for one in arguments):
                note(*arguments, before=before)
            return result

        return call

    def _mkdir(self, path: Path, *_: object, before: set[Path]) -> None:
        for folder in reversed((path, *path.parents)):
            known = any(step.kind == "mkdir" and step.path == folder for step in self.steps)
            if folder.is_relative_to(self.root) and folder not in before and not known:
                self.steps.append(Step("mkdir", folder))

    def _write_bytes(self, path: Path, data: bytes, **_: object) -> None:
        self._last += 1
        self._files[path] = self._last
        self.steps.append(Step("write", path, self._last, data=bytes(data)))

    def _replace(self, source: Path, path: Path, **_: object) -> None:
        self._files[path] = self._files.pop(source)
        self.steps.append(Step("rename", path, self._files[path], source))

    def _hardlink_to(self, path: Path, source: Path, **_: object) -> None:
        self._files[path] = self._files[source]
        self.steps.append(Step("link", path, self._files[path], source))

    def _unlink(self, path: Path, *_: object, before: set[Path]) -> None:
        if path in before:
            self.steps.append(Step("unlink", path, self._files.pop(path, 0)))

    def _rmdir(self, path: Path, **_: object) -> None:
        self.steps.append(Step("rmdir", path))

    def _sync(self, store: LocalStore, path: Path, **_: object) -> None:
        if store._durable:
            self.steps.append(Step("sync", path, self._files.get(path, 0)))


def disks_after(steps: Sequence[Step], cut: int, some: int) -> Iterator[list[Step]]:
    """Yield lists of the steps that reached the disk when the power failed after ``cut`` steps."""
    done, chance = steps[:cut], random.Random(cut)  # noqa: S311 - no secret
    pending = [number for number, step in enumerate(done) if step.kind != "sync" and not _is_synced(done, number)]
    subsets = [set(), set(pending), *({one for one in pending if chance.random() < 0.5} for _ in range(some))]
    for kept in subsets if pending else subsets[:1]:
        yield [step for number, step in enumerate(done) if number not in pending or number in kept]


def _is_synced(steps: Sequence[Step], number: int) -> bool:
    by = steps[number].synced_by
    return any(step.kind == "sync" and by in {step.file or step.path, step.path} for step in steps[number + 1 :])


def write_disk(steps: Sequence[Step], root: Path, at: Path) -> None:
    """Write the disk that these steps made of the folder ``root`` to the folder ``at``, which is replaced."""
    names: dict[Path, int] = {}
    folders = {root}
    written: dict[int, bytes] = {}
    for step in steps:
        if step.kind == "mkdir":
            folders.add(step.path)
        elif step.kind == "write":
            written[step.file] = step.data
        elif step.kind == "rmdir":
            folders.discard(step.path)
        elif step.kind == "unlink":
            names.pop(step.path, None)
        elif step.kind in {"rename", "link"}:
            if step.kind == "rename":
                names.pop(step.source, None)
            names[step.path] = step.file
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    for path, file in names.items():
        # A name is there only if all folders above it are.
        if all(folder in folders for folder in path.parents if folder.is_relative_to(root)):
            target = at / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(written.get(file, b""))
