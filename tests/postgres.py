"""A real PostgreSQL for tests and benchmarks: a cluster in a temporary folder, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from monitor.store import Store
from tests import make

PROGRAMS = Path("/usr/lib/postgresql")  # where Debian and Ubuntu keep them, off the PATH
_names = count(1)


class Missing(Exception):  # noqa: N818 - no error: what is not installed is left out, and its reason is said
    """PostgreSQL cannot be run here; the message says why."""


@contextmanager
def postgres_server() -> Iterator[int]:
    """Run a private PostgreSQL while the block runs, and yield its port. Raises Missing where there is none.

    Everybody on this machine may log in as `postgres`, and nothing survives a power cut: it is for tests.
    """
    programs = _programs()
    user = _user()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", f"{folder}/data", *arguments]
            done = subprocess.run(command, user=user, capture_output=True, text=True, cwd=folder, timeout=120)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
                raise Missing(f"PostgreSQL's {program} failed: {said[-1]}")

        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        # Its output goes to a file: a pipe would stay open as long as the server runs.
        run("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
        try:
            yield port
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")


def address(port: int, name: str = "postgres") -> str:
    """Return the `database_url` of a database of that server."""
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """One server for the whole run; tests take `postgres_url`, a database of their own."""
    try:
        with postgres_server() as port:
            yield port
    except Missing as why:
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(f"MONITOR_TEST_REQUIRE_ALL is set, and {why}")
        pytest.skip(f"{why} (apt-get install postgresql, and the extra `postgres`)")


@pytest.fixture
def postgres_url(postgres_port: int) -> Iterator[str]:
    """The address of an empty database, as `database_url` takes it; it is dropped after the test."""
    import psycopg  # an extra: there when the server is

    name = f"test_{next(_names)}"
    with psycopg.connect(f"host=127.0.0.1 port={postgres_port} user=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield address(postgres_port, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `make.config` name a PostgreSQL database, which is up to date."""
    store = Store(postgres_url, tmp_path)
    store.migrate()
    store.close()
    monkeypatch.setitem(make.DATABASE, "MONITOR_DATABASE_URL", postgres_url)


def _programs() -> Path:
    """Return the folder of the newest installed server's programs."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].partition(".")[0]))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        raise Missing("PostgreSQL is not installed")
    try:
        import psycopg  # noqa: F401 - only whether it is there
    except ImportError:
        raise Missing("psycopg is not installed") from None
    return Path(initdb).resolve().parent


def _user() -> str | None:
    """Return whom the server is to run as, since it refuses root; None when that is us."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):  # the package makes the first
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Missing("PostgreSQL does not run as root, and there is no other user")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
