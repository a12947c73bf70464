"""The daemon as a process of its own, started and killed by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitor.store import Store


class DaemonProcess:
    """`monitor run` on a configuration and a data folder; its log is kept in the data folder."""

    def __init__(self, config: Path, data: Path, **env: str) -> None:
        self.config, self.data = config, data
        self._env = {**os.environ, **env}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it."""
        self.data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "monitor", "run", "--config", str(self.config), "--data", str(self.data)]
        with (self.data / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([*command, *options], stderr=log, stdout=log, env=self._env)

    @property
    def log(self) -> str:
        """What it has logged, over all its lives."""
        return (self.data / "log.txt").read_text(encoding="utf-8", errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, within: float = 15.0) -> int:
        """Ask it to stop, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within)

    def memory(self) -> float:
        """The most memory that the process itself has had so far, in MB; its workers have their own limits."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024

    def reload(self) -> None:
        """Ask it to read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `monitor` command on the same folders."""
        command = [sys.executable, "-m", "monitor", *arguments, "--config", str(self.config), "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, env=self._env, timeout=60)


@contextmanager
def running(process: DaemonProcess, *options: str) -> Iterator[DaemonProcess]:
    """A started daemon, ended at the end whatever happens."""
    process.start(*options)
    try:
        yield process
    finally:
        if process.alive:
            process.kill()


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait until `condition` holds. Fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextmanager
def database(data: Path) -> Iterator[Store]:
    """The daemon's database, to be read beside it."""
    store = Store("sqlite:///monitor.db", data)
    try:
        yield store
    finally:
        store.close()
