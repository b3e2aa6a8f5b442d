"""Opens the object store of a URL."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from marquee.errors import ConfigError
from marquee.storage.base import S3Options, Store
from marquee.storage.local import LocalStore


@lru_cache(maxsize=16)
def open_store(url: str, s3: S3Options | None = None, *, fsync: bool = True) -> Store:
    """Open the store of a URL: ``file:///folder`` or ``s3://bucket/prefix``; ``fsync`` is for folders."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return LocalStore(Path(unquote(parts.path)), durable=fsync)
    if parts.scheme == "s3" and parts.netloc:
        from marquee.storage.s3 import S3Store  # noqa: PLC0415 - boto3 is slow, and unused on local folders

        return S3Store(parts.netloc, parts.path.strip("/"), s3 or S3Options())
    message = f"Invalid URL {url!r}. Use file:///folder or s3://bucket/prefix"
    raise ConfigError(message)


@dataclass(frozen=True)
class StoreAddress:
    """The URL and connection options of a store. A task receives them and opens the store itself."""

    url: str
    s3: S3Options
    fsync: bool = True

    def open(self) -> Store:
        """Open the store."""
        return open_store(self.url, self.s3, fsync=self.fsync)

    @property
    def folder(self) -> Path | None:
        """The folder of a local store; None for another store, whose objects tasks fetch to their scratch folder."""
        store = self.open()
        return store.root if isinstance(store, LocalStore) else None
