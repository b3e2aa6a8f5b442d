"""A MySQL server for tests, beside MariaDB: that of the folder ``shared`` beside the repository.

``shared/mysql/up`` installs it in a folder of its own, which takes root, a mirror of Debian and a minute, once on a
machine. The tests start its program themselves, because some kill their server, fill its disk or configure it.
"""

import fcntl
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.mariadb_server import SqlServer, as_root

SCRIPTS = Path(__file__).parents[2] / "shared" / "mysql"
SMALL = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-redo-log-capacity=16M",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=OFF",
    "--key-buffer-size=1M",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--bind-address=127.0.0.1",
    "--local-infile=ON",
    "--log-error-verbosity=1",
)
"""Options for a quick start and little memory, and LOAD DATA LOCAL, which is off by default."""


class NoMysqlError(Exception):
    """There is no MySQL, for this reason."""


class MySQL(SqlServer):
    """The MySQL that is installed by ``shared/mysql/up``."""

    def program(self) -> Sequence[str]:
        """Return the command that starts it."""
        return [*_program(), *SMALL]


def install_mysql(folder: Path) -> Path:
    """Make an empty data folder with the system tables of a server. NoMysqlError if there is no MySQL."""
    _download()
    data = folder / "data"
    command = [*_program(), "--initialize-insecure", f"--datadir={data}", *SMALL, "--innodb-redo-log-capacity=64M"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"mysqld --initialize-insecure ended with code {done.returncode}: {done.stdout}{done.stderr}"
        raise RuntimeError(message)
    return data


def _home() -> Path:
    return Path(os.environ.get("MYSQL_TEST_HOME") or Path.home() / ".cache" / "test-mysql")


def _root() -> Path:
    """The folder with the system in which MySQL is installed."""
    return _home() / "root"


def _download() -> None:
    """Install MySQL unless it is there, in one process at a time."""
    if not (SCRIPTS / "up").is_file():
        message = f"{SCRIPTS}/up, which installs MySQL, is not there"
        raise NoMysqlError(message)
    _home().mkdir(parents=True, exist_ok=True)
    with (_home() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (_root() / "usr/sbin/mysqld").exists() and (_root() / "usr/share/mysql").is_dir():
            return
        done = subprocess.run([SCRIPTS / "up"], capture_output=True, text=True, check=False)
        if done.returncode:
            reasons = done.stderr.strip().splitlines()
            message = f"{SCRIPTS}/up ended with code {done.returncode}: {reasons[-1] if reasons else 'no reason given'}"
            raise NoMysqlError(message)
        subprocess.run([SCRIPTS / "down"], check=True, capture_output=True)


def _program() -> Sequence[str]:
    """Return the command of the server, with the loader and the libraries of the system that it is installed in.

    Without chroot, all servers see the same paths as the tests, and other users than root may start them.
    """
    loader = next(_root().glob("usr/lib/*/ld-linux-*.so.*"))
    libraries = f"{loader.parent}:{loader.parent / 'mysql' / 'private'}"
    share = _root() / "usr/share/mysql"
    return [
        *(str(loader), "--library-path", libraries, str(_root() / "usr/sbin/mysqld"), "--no-defaults", *as_root()),
        *(f"--basedir={_root() / 'usr'}", f"--plugin-dir={_root() / 'usr/lib/mysql/plugin'}"),
        *(f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}"),
    ]
