"""What sending a mail costs: stock Apprise and ours, in turns, to a real SMTP server on loopback in another process.

    python -m tests.benchmarks.mails [--count 10000] [--size 40000] [--json FILE]

CPU is that of the sending process alone. Stock Apprise sends a tenth of the mails, in as many turns, since it takes so
much longer. Each way makes its mail from subject, text and HTML anew every time, and sends it to a recipient of its
own; ours renders nothing either. Memory is what the process holds in addition after the second half of the mails.
Contexts are those of TLS that our way makes, counted as a few more mails go to a server with STARTTLS.

Each bound is printed with PASS or FAIL; exit 1 where one fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apprise import Apprise, AppriseAsset, NotifyFormat
from apprise.plugins.email.base import NotifyEmail

from monitor.render import MailMessage
from monitor.send import Sender
from tests.test_send_smtp import by_starttls
from tests.tls import Authority

TURNS = 10
LEAST_RATIO = 6.0  # times that stock Apprise's CPU is more
MOST_GROWTH = 2_048  # KB over the second half
BY_TLS = 300  # mails, by four connections at least
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
SENDER = "News <news@corvid.example>"
LINE = "<p><a href='https://wire.example/2026/kolva'>Troops at the border</a> said that they would – “soon” – go.</p>\n"


class Sink:
    """The mail server, reading and dropping what comes; `python -m tests.benchmarks.mails --serve`."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "tests.benchmarks.mails", "--serve", str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def close(self) -> tuple[int, int]:
        """Return how many mails and connections there were."""
        told, _ = self._process.communicate("", 30)
        mails, connections = told.split()
        return int(mails), int(connections)


def serve(port: int) -> None:
    """Take mails until standard input ends, then print how many, and by how many connections."""
    counts = {"mails": 0, "connections": 0}

    def talk(connection: socket.socket) -> None:
        counts["connections"] += 1
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 sink ESMTP\r\n")
            for line in lines:
                verb = line[:4].upper()
                if verb == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                    counts["mails"] += 1
                    connection.sendall(b"250 2.0.0 Ok: queued\r\n")
                elif verb == b"EHLO":
                    connection.sendall(b"250-sink\r\n250-SIZE 10000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
                elif verb == b"QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                else:
                    connection.sendall(b"250 2.0.0 Ok\r\n")

    import threading

    listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def accept() -> None:
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    print(counts["mails"], counts["connections"], flush=True)


def resident() -> int:
    """The memory that this process holds, in KB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def measured(send: Callable[[int], None], first: int, count: int) -> tuple[float, float]:
    """Return the milliseconds of CPU and of time for a mail."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(first, first + count):
        send(number)
    return (time.process_time() - cpu) * 1000 / count, (time.perf_counter() - wall) * 1000 / count


def contexts_made(message: MailMessage) -> int:
    """Return how many TLS contexts are made for BY_TLS mails to a server with STARTTLS."""
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        authority = Authority(Path(folder))
        patch.setenv("SSL_CERT_FILE", str(authority.trust))
        patch.setattr(ssl, "create_default_context", counted)
        with by_starttls(authority) as post:
            sender = Sender(SENDER)
            for number in range(BY_TLS):
                url = f"mailtos://127.0.0.1:{post.port}?to=r{number}@corvid.example"
                outcome = sender.send(url, message, f"tls{number}@corvid.example", NOW)
                assert outcome.kind == "sent", outcome
            sender.close()
    return len(made)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--size", type=int, default=40_000, help="bytes of HTML and text of a mail")
    options.add_argument("--json", type=Path)
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    html = LINE * (asked.size * 7 // 8 // len(LINE.encode()))
    text = "Troops at the border said that they would go.\n" * (asked.size // 8 // 46)
    message = MailMessage("Border: troops at the Kolva", text, html, (("Auto-Submitted", "auto-generated"),))
    sink, sender = Sink(), Sender(SENDER)
    asset = AppriseAsset(service_timeout=0, async_mode=False)

    def ours(number: int) -> None:
        url = f"mailto://127.0.0.1:{sink.port}?to=r{number}@corvid.example"
        outcome = sender.send(url, message, f"{number}@corvid.example", NOW)
        assert outcome.kind == "sent", outcome

    def stock(number: int) -> None:
        apprise = Apprise(asset=asset)
        parts = NotifyEmail.parse_url(
            f"mailto://127.0.0.1:{sink.port}?to=r{number}@corvid.example&from=news@corvid.example"
        )
        apprise.add(NotifyEmail(asset=asset, **parts))
        assert apprise.notify(body=html, title=message.subject, body_format=NotifyFormat.HTML)

    ours(0)
    stock(0)
    turn, few = max(1, asked.count // TURNS), max(1, asked.count // TURNS // 10)
    own, apprises, memory = [], [], []
    for number in range(TURNS):
        apprises.append(measured(stock, number * few, few))
        own.append(measured(ours, number * turn, turn))
        memory.append(resident())
    contexts = contexts_made(message)
    sender.close()
    mails, connections = sink.close()
    growth = memory[-1] - memory[TURNS // 2 - 1]
    result = {
        "mails": turn * TURNS,
        "bytes": len(sender.mail("mailto://127.0.0.1:25?to=a@b.example", message, "a@b", NOW).as_bytes()),
        "cpu_ms": round(statistics.median(cpu for cpu, _ in own), 2),
        "stock_cpu_ms": round(statistics.median(cpu for cpu, _ in apprises), 2),
        "ms": round(statistics.median(wall for _, wall in own), 2),
        "stock_ms": round(statistics.median(wall for _, wall in apprises), 2),
        "ratio": round(statistics.median(s[0] / o[0] for s, o in zip(apprises, own, strict=True)), 1),
        "connections": connections - (few * TURNS + 1),
        "growth_kb": growth,
        "contexts": contexts,
    }
    assert mails == turn * TURNS + few * TURNS + 2, "mails got lost"
    print(
        f"{result['mails']:,} mails of {result['bytes']:,} bytes: {result['cpu_ms']} ms of CPU each, stock Apprise "
        f"{result['stock_cpu_ms']} ms, {result['ratio']} times as much\n"
        f"{result['ms']} ms each in all, stock Apprise {result['stock_ms']} ms; {result['connections']} connections; "
        f"memory {growth:+,} KB over the second half"
    )
    if asked.json:
        asked.json.write_text(json.dumps(result) + "\n")
    bounds = {
        f"at least {LEAST_RATIO:g} times less CPU than stock Apprise ({result['ratio']})": result["ratio"]
        >= LEAST_RATIO,
        f"one TLS context for the server ({contexts})": contexts == 1,
        f"memory flat, {MOST_GROWTH:,} KB at most ({growth:+,})": growth <= MOST_GROWTH,
        f"connections kept ({result['connections']:,})": result["connections"] <= result["mails"] // 50,
    }
    for bound, holds in bounds.items():
        print("PASS" if holds else "FAIL", bound)
    if not all(bounds.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
