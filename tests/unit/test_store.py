"""Stores: the behaviour of every store, then of the local folder alone, then URLs."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marquee.errors import ConfigError
from marquee.storage.base import ObjectInfo, ObjectNotFoundError, PreconditionError, S3Options, Store, in_parallel
from marquee.storage.local import LocalStore
from marquee.storage.opening import open_store
from marquee.storage.s3 import S3Store

RACES = 5
WRITERS = 16


def keys(store: Store, prefix: str = "") -> list[str]:
    """List the keys below a prefix."""
    return [info.key for info in store.list(prefix)]


def test_what_is_put_can_be_got(store: Store) -> None:
    """Get, head and list agree with the result of put."""
    info = store.put("a/b.bin", b"\x00one")
    assert (info.key, info.size) == ("a/b.bin", 4)
    assert store.get("a/b.bin") == b"\x00one"
    assert store.head("a/b.bin") == info
    assert list(store.list()) == [info]


@pytest.mark.parametrize("size", [0, 4, 17 << 20], ids=["empty", "small", "in parts"])
def test_file_is_put_like_its_bytes(store: Store, tmp_path: Path, size: int) -> None:
    """An object from a file has the bytes of the file, and replaces an existing object; the file stays."""
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    store.put("a/b.bin", b"\x00one")
    store.put_file("a/b.bin", file)
    assert store.get("a/b.bin") == bytes(size)
    assert keys(store) == ["a/b.bin"]
    assert file.stat().st_size == size


def test_put_replaces_and_the_etag_tells(store: Store) -> None:
    """A second put of the same size replaces the object and changes its etag."""
    first = store.put("a", b"one")
    second = store.put("a", b"two")
    assert store.get("a") == b"two"
    assert first.etag != second.etag


def test_names_are_those_of_one_level(store: Store) -> None:
    """The names of one level are folders with a final slash and objects, without deeper ones."""
    for key in ("a/b/one", "a/b/two", "a/c", "d"):
        store.put(key, b"1")
    assert list(store.names()) == ["a/", "d"]
    assert list(store.names("a/")) == ["b/", "c"]
    assert list(store.names("e/")) == []


def test_folder_has_no_clock_of_its_own(lake: LocalStore) -> None:
    """A local folder has no server time."""
    assert lake.server_time() is None


def test_etags_of_quick_writes_differ(lake: LocalStore) -> None:
    """A hundred writes of the same size within milliseconds have different etags."""
    assert len({lake.put("a", b"same").etag for _ in range(100)}) == 100


def test_empty_object_is_an_object(store: Store) -> None:
    """An empty object is listed and read like any other."""
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert [(info.key, info.size) for info in store.list()] == [("empty", 0)]


def test_missing_object_is_named(store: Store, tmp_path: Path) -> None:
    """Get and fetch of a missing object are errors that name it, head returns None, and delete does nothing."""
    with pytest.raises(ObjectNotFoundError, match=r"/a/missing: no such object"):
        store.get("a/missing")
    with pytest.raises(ObjectNotFoundError, match=r"/a/missing: no such object"):
        store.fetch("a/missing", tmp_path)
    assert store.head("a/missing") is None
    store.delete("a/missing")


def test_names_right_below_a_folder(store: Store) -> None:
    """The names directly below a folder come in order, folders with a final slash, without deeper ones."""
    for key in ("a/b/c", "a/b/d", "a/b.bin", "a/c/e", "z"):
        store.put(key, b"one")
    assert list(store.names()) == ["a/", "z"]
    assert list(store.names("a/")) == ["b.bin", "b/", "c/"]
    assert list(store.names("a/b/")) == ["c", "d"]
    assert list(store.names("nowhere/")) == []


def test_folder_is_no_object(store: Store) -> None:
    """A folder is not an object for head, get and list."""
    store.put("a/b/c", b"one")
    assert store.head("a/b") is None
    assert keys(store) == ["a/b/c"]
    with pytest.raises(ObjectNotFoundError):
        store.get("a/b")


def test_list_is_in_the_order_of_keys(store: Store) -> None:
    """Keys sort by their bytes: '-' and '.' before the '/' of a folder, accents after all letters."""
    for key in ("é", "b", "a/b.c", "a/b", "a.b", "a-b"):
        store.put(key, b"x")
    assert keys(store) == ["a-b", "a.b", "a/b", "a/b.c", "b", "é"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        pytest.param("", ["hour=1/x", "hour=10/y", "hour=2/z"], id="all"),
        pytest.param("hour=1", ["hour=1/x", "hour=10/y"], id="part of a name"),
        pytest.param("hour=1/", ["hour=1/x"], id="folder"),
        pytest.param("hour=1/x", ["hour=1/x"], id="key"),
        pytest.param("hour=3/", [], id="nothing there"),
        pytest.param("hour=1/x/y", [], id="below an object"),
    ],
)
def test_list_takes_keys_by_prefix(store: Store, prefix: str, expected: list[str]) -> None:
    """A prefix is the beginning of keys, which may end within a name."""
    for key in ("hour=2/z", "hour=10/y", "hour=1/x"):
        store.put(key, b"x")
    assert keys(store, prefix) == expected


def test_everything_is_listed_in_the_order_of_keys(store: Store) -> None:
    """A listing of everything has hidden names as well, in the order of keys; a prefix may end within a name."""
    for key in ("a/b", "a.b", ".a", "a/.b/c", "_a", "ab/c", "b"):
        store.put(key, b"x")
    assert [info.key for info in store.list_all()] == [".a", "_a", "a.b", "a/.b/c", "a/b", "ab/c", "b"]
    assert [info.key for info in store.list_all("a")] == ["a.b", "a/.b/c", "a/b", "ab/c"]
    assert [info.key for info in store.list_all("a/")] == ["a/.b/c", "a/b"]
    assert [info.key for info in store.list_all("a/.b/")] == ["a/.b/c"]
    assert list(store.list_all("c/")) == []
    assert list(store.list_all("b")) == [store.head("b")]


def test_put_if_absent_writes_once(store: Store) -> None:
    """A second put_if_absent is refused and changes nothing."""
    info = store.put_if_absent("a/marker", b"one")
    with pytest.raises(PreconditionError, match="a/marker"):
        store.put_if_absent("a/marker", b"two")
    assert store.get("a/marker") == b"one"
    assert list(store.list()) == [info]


def test_put_if_unchanged_replaces_what_was_read(store: Store) -> None:
    """put_if_unchanged writes with the current etag, and is refused with an older one."""
    first = store.put("a/marker", b"one")
    second = store.put_if_unchanged("a/marker", b"two", first.etag)
    assert store.head("a/marker") == second
    with pytest.raises(PreconditionError, match="a/marker"):
        store.put_if_unchanged("a/marker", b"three", first.etag)
    assert store.get("a/marker") == b"two"


def test_put_if_unchanged_refuses_what_is_gone(store: Store) -> None:
    """put_if_unchanged of a deleted object is refused and does not create it."""
    info = store.put("a/marker", b"one")
    store.delete("a/marker")
    with pytest.raises(PreconditionError, match="a/marker"):
        store.put_if_unchanged("a/marker", b"two", info.etag)
    assert keys(store) == []


def test_delete_takes_one_object(store: Store) -> None:
    """Delete removes one object; its neighbour stays, and its folder can be filled again."""
    store.put("a/b/one", b"1")
    store.put("a/c/two", b"2")
    store.delete("a/b/one")
    assert keys(store) == ["a/c/two"]
    store.put("a/b/one", b"3")
    assert store.get("a/b/one") == b"3"


def test_fetch_gives_a_readable_file(store: Store, tmp_path: Path) -> None:
    """Fetch returns a file with the bytes of the object."""
    store.put("a/b", b"one")
    assert store.fetch("a/b", tmp_path).read_bytes() == b"one"


def race(writers: list[Callable[[], ObjectInfo]]) -> int:
    """Start all writers at the same moment, and return how many won."""
    barrier = threading.Barrier(len(writers))

    def write(writer: Callable[[], ObjectInfo]) -> int:
        barrier.wait()
        try:
            writer()
        except PreconditionError:
            return 0
        return 1

    with ThreadPoolExecutor(len(writers)) as pool:
        return sum(pool.map(write, writers))


def test_one_of_many_writers_makes_an_object(store: Store) -> None:
    """Of 16 concurrent calls of put_if_absent exactly one wins, every time."""

    def writer(number: int, key: str) -> Callable[[], ObjectInfo]:
        return lambda: store.put_if_absent(key, str(number).encode())

    won = [race([writer(number, f"race={turn}/_SUCCESS") for number in range(WRITERS)]) for turn in range(RACES)]
    assert won == [1] * RACES


def test_one_of_many_writers_replaces_an_object(store: Store) -> None:
    """Of 16 concurrent calls of put_if_unchanged with the same etag exactly one wins, every time."""

    def writer(number: int, etag: str) -> Callable[[], ObjectInfo]:
        return lambda: store.put_if_unchanged("_SUCCESS", str(number).encode(), etag)

    won = []
    for _ in range(RACES):
        etag = store.put("_SUCCESS", b"before").etag
        won.append(race([writer(number, etag) for number in range(WRITERS)]))
    assert won == [1] * RACES


def test_parallel_calls_keep_their_order_and_end_at_an_error(store: Store) -> None:
    """Parallel calls return results in the order of their arguments, and raise the first error."""
    for number in range(40):
        store.put(f"{number:02}", str(number).encode())
    numbers = range(40)
    assert list(in_parallel(store, lambda number: int(store.get(f"{number:02}")), numbers)) == list(numbers)
    with pytest.raises(ObjectNotFoundError, match="/lake/missing"):
        list(in_parallel(store, store.get, ["00", "missing", "01"]))


# The local folder only.


def test_writers_and_deleters_share_folders(lake: LocalStore) -> None:
    """A delete that removes an empty folder does not make a concurrent write into it fail."""

    def churn(number: int) -> None:
        for _ in range(150):
            lake.put(f"a/b/c/{number}", b"x")
            lake.delete(f"a/b/c/{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(churn, range(8)))
    assert keys(lake) == []


def test_etag_is_that_of_the_own_write(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """put_if_absent returns the etag of its own write, even if another writer replaces the object at once."""
    link = Path.hardlink_to

    def link_and_be_overtaken(path: Path, target: Path) -> None:
        link(path, target)
        monkeypatch.undo()
        LocalStore(lake.root).put("_SUCCESS", b"theirs")

    monkeypatch.setattr(Path, "hardlink_to", link_and_be_overtaken)
    ours = lake.put_if_absent("_SUCCESS", b"ours").etag
    with pytest.raises(PreconditionError):
        lake.put_if_unchanged("_SUCCESS", b"ours again", ours)
    assert lake.get("_SUCCESS") == b"theirs"


def test_killed_write_is_hidden_until_it_is_swept(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of a killed write is not listed as an object, and is a leftover once it is old."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    lake.put("a/whole", b"x")
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", die)
        lake.put("a/cut", b"12345")
    now = datetime.now(UTC)
    assert keys(lake) == ["a/whole"]
    assert list(lake.leftovers(now - timedelta(minutes=1))) == []
    (found,) = lake.leftovers(now + timedelta(minutes=1))
    assert (found.key.startswith("a/.cut."), found.size) == (True, 5)
    lake.sweep(found.key)
    assert list(lake.leftovers(now + timedelta(minutes=1))) == []


def test_file_that_goes_while_listing_is_left_out(lake: LocalStore) -> None:
    """A file that is deleted during a listing is left out."""
    lake.put("a/one", b"1")
    (lake.root / "a/two").symlink_to(lake.root / "gone")
    assert keys(lake) == ["a/one"]


def test_links_are_listed_as_links(lake: LocalStore) -> None:
    """A listing of everything has links to files and folders, broken ones too, and does not follow them."""
    LocalStore(lake.root.parent / "outside").put("b/c", b"x")
    lake.put("a/one", b"1")
    for name, target in {"file": "outside/b/c", "folder": "outside/b", "gone": "nowhere"}.items():
        (lake.root / "a" / name).symlink_to(lake.root.parent / target)
    assert [(info.key, info.link) for info in lake.list_all("a/")] == [
        ("a/file", True),
        ("a/folder", True),
        ("a/gone", True),
        ("a/one", False),
    ]
    assert [(info.key, info.link) for info in lake.list_all("a/folder/c")] == [("a/folder", True)]


def test_unreadable_folder_fails_the_listing(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read is an error, because its objects would seem to be deleted."""
    lake.put("a/one", b"1")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"cannot list .*/lake/a \(Permission denied\): user .* has no permission"):
        keys(lake)


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "./a", "a/../../b", ".."])
def test_key_that_leads_elsewhere_is_refused(lake: LocalStore, key: str) -> None:
    """A key cannot leave the folder or have a second spelling."""
    with pytest.raises(ValueError, match=r"Invalid key .*\. Use names separated by single slashes"):
        lake.put(key, b"x")


# URLs and settings.


def test_wrong_endpoint_is_a_wrong_setting() -> None:
    """An endpoint without a scheme is an error with its value."""
    with pytest.raises(ConfigError, match="endpoint_url='localhost:9000'"):
        open_store("s3://bucket", S3Options(endpoint_url="localhost:9000"))


def test_url_opens_a_store() -> None:
    """The URL of a folder may have escapes, an S3 URL may have a prefix, and the same URL gives the same store."""
    folder = open_store("file:///some/folder%20here")
    assert isinstance(folder, LocalStore)
    assert folder.root == Path("/some/folder here")
    bucket = open_store("s3://bucket/some/prefix/")
    assert isinstance(bucket, S3Store)
    assert (bucket.bucket, bucket.prefix, bucket.url) == ("bucket", "some/prefix/", "s3://bucket/some/prefix")
    assert open_store("s3://bucket/some/prefix/") is bucket


@pytest.mark.parametrize("url", ["", "/folder", "folder", "file://host/folder", "s3://", "s3:///key", "http://host/"])
def test_other_url_is_refused(url: str) -> None:
    """An unsupported URL is an error with the URL and the two valid forms."""
    with pytest.raises(ConfigError, match=r"Invalid URL .*\. Use file:///folder or s3://bucket/prefix") as caught:
        open_store(url)
    assert repr(url) in str(caught.value)
