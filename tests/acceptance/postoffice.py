"""A post office of the tests' own: postfix takes mail by SMTP, dovecot files it through sieve, IMAP reads it back.

Both run as they do in life, from a folder of their own and on free ports of loopback; nothing is relayed anywhere.
"""

from __future__ import annotations

import email
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Self

PASSWORD = "known-to-tests"
DOMAINS = ("corvid.example", "xn--bcher-kva.example")
MOST_BYTES = 60_000  # of one message

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.corvid.example
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_transport = error:there is no local mail here
default_transport = error:nothing leaves this machine
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = inline:{{ {boxes} }}
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {certificate}
smtpd_timeout = 3s
message_size_limit = {size}
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
"""
MASTER = """
127.0.0.1:{smtp} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/mail
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
postmaster_address = postmaster@corvid.example
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/homes/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
protocol lmtp {{
  mail_plugins = sieve
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_before = {folder}/duplicate.sieve
}}
"""
SIEVE = 'require "duplicate";\nif duplicate { discard; stop; }\n'  # RFC 7352: by Message-ID


def missing() -> str:
    """Return why there can be no post office here, or ""."""
    if os.geteuid() != 0:
        return "postfix and dovecot are started by root only"
    parts = [Path("/usr/lib/dovecot") / name for name in ("imap", "lmtp", "modules/lib90_sieve_plugin.so")]
    if not all(map(shutil.which, ("postfix", "dovecot", "sievec"))) or not all(part.exists() for part in parts):
        return "postfix, dovecot-imapd, dovecot-lmtpd and dovecot-sieve are not all installed"
    return ""


class PostOffice:
    """`with PostOffice(boxes, certificate, key) as office:`; `port` takes mail, and `mails` reads a box."""

    def __init__(self, boxes: tuple[str, ...], certificate: Path, key: Path) -> None:
        # Not below a folder that only root may enter, as pytest's are: both servers drop root's rights.
        self._folder = Path(tempfile.mkdtemp(prefix="postoffice-"))
        self._boxes = boxes
        self._files = certificate, key
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as two,
            socket.create_server(("127.0.0.1", 0)) as three,
        ):
            self.port: int = one.getsockname()[1]
            self._lmtp: int = two.getsockname()[1]
            self._imap: int = three.getsockname()[1]
        self._dovecot: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    @property
    def log(self) -> str:
        """What both servers have logged."""
        paths = (self._folder / "postfix.log", self._folder / "dovecot.log")
        return "\n".join(path.read_text(errors="replace") for path in paths if path.exists())

    def box(self, name: str) -> imaplib.IMAP4:
        """Return an IMAP session in the inbox of `name`."""
        session = imaplib.IMAP4("127.0.0.1", self._imap, timeout=20)
        session.login(name, PASSWORD)
        session.select("INBOX")
        return session

    def mails(self, name: str, least: int, seconds: float = 60.0) -> list[EmailMessage]:
        """Return the mails in a box, oldest first, once there are `least` and nothing is under way any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            session = self.box(name)
            try:
                numbers = session.search(None, "ALL")[1][0].split()
                if len(numbers) >= least and not self._under_way():
                    bodies = [session.fetch(number.decode(), "(BODY.PEEK[])")[1][0] for number in numbers]
                    return [email.message_from_bytes(body[1], policy=default) for body in bodies if body is not None]  # type: ignore[arg-type]  # what imaplib gives for a BODY
            finally:
                session.logout()
            time.sleep(0.2)
        raise AssertionError(f"{name} has no {least} mails after {seconds} s:\n{self.log[-3000:]}")

    def _under_way(self) -> bool:
        return any(
            path.is_file() for name in ("incoming", "active", "deferred", "maildrop")
            for path in (self._folder / "queue" / name).rglob("*")
        )  # fmt: skip

    def _start(self) -> None:
        folder = self._folder
        folder.chmod(0o755)
        for name, owner in (
            ("queue", "root"),
            ("postfix", "postfix"),
            ("homes", "mail"),
            ("run", "root"),
            ("state", "root"),
        ):
            (folder / name).mkdir()
            os.chown(folder / name, pwd.getpwnam(owner).pw_uid, grp.getgrnam(owner).gr_gid)
        own = [shutil.copy(path, folder / path.name) for path in self._files]
        values = {
            "folder": folder, "smtp": self.port, "lmtp": self._lmtp, "imap": self._imap, "password": PASSWORD,
            "certificate": own[0], "key": own[1], "size": MOST_BYTES, "domains": ", ".join(DOMAINS),
            "boxes": ", ".join(f"{{ {box} = {box} }}" for box in self._boxes),
        }  # fmt: skip
        (folder / "main.cf").write_text(MAIN.format(**values))
        (folder / "master.cf").write_text(MASTER.format(**values))
        (folder / "dovecot.conf").write_text(DOVECOT.format(**values))
        (folder / "duplicate.sieve").write_text(SIEVE)
        subprocess.run(["sievec", "-c", folder / "dovecot.conf", folder / "duplicate.sieve"], check=True, timeout=60)
        self._dovecot = subprocess.Popen(["dovecot", "-F", "-c", folder / "dovecot.conf"])
        subprocess.run(["postfix", "-c", folder, "start"], check=True, timeout=60, capture_output=True)
        self._wait(lambda: all(map(_listens, (self.port, self._lmtp, self._imap))))

    def _wait(self, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise AssertionError(f"the post office does not open:\n{self.log[-3000:]}")
            time.sleep(0.1)

    def _stop(self) -> None:
        if (self._folder / "main.cf").exists():
            subprocess.run(["postfix", "-c", self._folder, "stop"], timeout=60, capture_output=True)
        if self._dovecot is not None:
            self._dovecot.send_signal(signal.SIGTERM)
            try:
                self._dovecot.wait(30)
            except subprocess.TimeoutExpired:
                self._dovecot.kill()
                self._dovecot.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
