"""`monitor doctor`: what is good and what is not, at real servers, a name server among them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from typer.testing import CliRunner, Result

from monitor import doctor
from monitor.app import App, open_app
from monitor.cli import cli
from monitor.doctor import Ask, Finding, mail_domain, resolver
from tests import make
from tests.make import NOW
from tests.servers import MailServer, WebServer

Zone = Mapping[tuple[str, str], list[str]]
GOOD: Zone = {
    ("corvid.example", "MX"): ["10 mx.corvid.example."],
    ("corvid.example", "TXT"): ['"v=spf1 mx " "-all"', '"site-verification=1"'],
    ("s1._domainkey.corvid.example", "TXT"): ['"v=DKIM1; k=rsa; p=MIIB" "IjAN"'],
    ("_dmarc.corvid.example", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:d@corvid.example"'],
}


class NameServer:
    """A name server of one zone, by UDP; names above those that it has exist and have no records (RFC 8020)."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            packet, asker = self._socket.recvfrom(4096)
            if not packet:
                return
            asked = dns.message.from_wire(packet)
            answer = dns.message.make_response(asked)
            answer.flags |= dns.flags.RA
            question = asked.question[0]
            name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
            if found := self._zone.get((name, kind)):
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
            elif not any(one == name or one.endswith(f".{name}") for one, _ in self._zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), asker)


@pytest.fixture
def names() -> Iterator[Callable[[Zone], Ask]]:
    servers: list[NameServer] = []

    def ask(zone: Zone) -> Ask:
        servers.append(NameServer(zone).__enter__())
        return resolver(["127.0.0.1"], servers[-1].port)

    yield ask
    for server in servers:
        server.__exit__()


def by_area(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.area: finding for finding in findings}


# --- the sender's domain ---------------------------------------------------------------------------------------


def test_a_domain_that_is_set_up_is_good(names: Callable[[Zone], Ask]) -> None:
    found = by_area(mail_domain("corvid.example", names(GOOD), ["s1"]))
    assert {area: finding.state for area, finding in found.items()} == dict.fromkeys(
        ("mail", "SPF", "DKIM", "DMARC"), "good"
    )
    assert found["SPF"].said == "v=spf1 mx -all"
    assert "p=reject" in found["DMARC"].said
    assert "has keys" in by_area(mail_domain("corvid.example", names(GOOD)))["DKIM"].said


def without(*keys: tuple[str, str], **more: list[str]) -> Zone:
    zone = {key: said for key, said in GOOD.items() if key not in keys}
    return zone | {(name.replace("_at_", "."), "TXT"): said for name, said in more.items()}


SPF, DKIM, DMARC = (
    ("corvid.example", "TXT"),
    ("s1._domainkey.corvid.example", "TXT"),
    ("_dmarc.corvid.example", "TXT"),
)
WRONG: list[tuple[Zone, str, str, str]] = [
    (without(SPF), "SPF", "warning", "no SPF record"),
    ({**GOOD, SPF: ['"v=spf1 mx -all"', '"v=spf1 a -all"']}, "SPF", "bad", "2 SPF records"),
    ({**GOOD, SPF: ['"v=spf1 +all"']}, "SPF", "bad", "lets anybody send"),
    (without(DKIM), "DKIM", "warning", "no key"),
    (without(DMARC), "DMARC", "warning", "no DMARC record"),
    ({**GOOD, DMARC: ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"']}, "DMARC", "bad", "2 records"),
    ({**GOOD, ("corvid.example", "MX"): ["0 ."]}, "mail", "bad", "takes no mail"),
    (without(("corvid.example", "MX")), "mail", "bad", "neither MX nor address"),
    ({("other.example", "A"): ["127.0.0.1"]}, "mail", "bad", "does not exist"),
]


@pytest.mark.parametrize(("zone", "area", "state", "said"), WRONG)
def test_what_a_domain_lacks_comes_with_its_remedy(
    names: Callable[[Zone], Ask], zone: Zone, area: str, state: str, said: str
) -> None:
    found = by_area(mail_domain("corvid.example", names(zone)))
    assert found[area].state == state
    assert said in found[area].said
    assert found[area].fix
    others = [finding.state for name, finding in found.items() if name != area]
    assert set(others) <= {"good"}


def test_a_selector_is_looked_at(names: Callable[[Zone], Ask]) -> None:
    revoked = {**GOOD, ("old._domainkey.corvid.example", "TXT"): ['"v=DKIM1; p="']}
    found = [f for f in mail_domain("corvid.example", names(revoked), ["s1", "old", "none"]) if f.area == "DKIM"]
    assert [finding.state for finding in found] == ["good", "bad", "bad"]
    assert ("withdrawn" in found[1].said, "has no key" in found[2].said) == (True, True)


def test_dmarc_of_the_organisation_holds_for_a_domain_below_it(names: Callable[[Zone], Ask]) -> None:
    zone = {**GOOD, ("news.corvid.example", "A"): ["192.0.2.1"], ("news.corvid.example", "TXT"): ['"v=spf1 a -all"']}
    assert by_area(mail_domain("news.corvid.example", names(zone)))["DMARC"].state == "good"


def test_a_name_server_that_is_silent_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DNS_PATIENCE", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        (finding,) = mail_domain("corvid.example", resolver(["127.0.0.1"], deaf.getsockname()[1]))
    assert (finding.state, "cannot be looked up" in finding.said) == ("bad", True)


# --- the installation ------------------------------------------------------------------------------------------


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


FEEDS = 'feeds: {wire: {url: "http://127.0.0.1:9/x.xml"}}'


def subscribers(port: int, more: str = "") -> str:
    return (
        "subscribers:\n"
        f'  ruth: {{channels: {{mail: "mailto://127.0.0.1:{port}?to=ruth@corvid.example"{more}}}}}\n'
        f'  ines: {{channels: {{mail: "mailto://127.0.0.1:{port}?to=ines@corvid.example"}}}}\n'
    )


MONITOR = "mail_from: News <news@corvid.example>\npublic_url: https://desk.corvid.example\n"


def opened(folder: Path, text: str, monitor: str = MONITOR, topics: str = make.TOPICS) -> App:
    config = make.config(folder / "config", subscribers=text, feeds=FEEDS, monitor=monitor, topics=topics)
    return open_app(config, folder / "data")


def examined(app: App, ask: Ask) -> list[Finding]:
    try:
        return list(doctor.examine(app, NOW, ask))
    finally:
        app.store.close()
        app.sender.close()


def test_a_sound_installation_is_good_throughout(
    tmp_path: Path, mail_server: MailServer, names: Callable[[Zone], Ask]
) -> None:
    found = examined(opened(tmp_path, subscribers(mail_server.port)), names(GOOD))
    assert {finding.state for finding in found} == {"good"}
    areas = [
        "versions",
        "permissions",
        "database",
        "clock",
        "DNS",
        "channels",
        "links",
        "contact",
        "mail",
        "SPF",
        "DKIM",
        "DMARC",
    ]
    assert [finding.area for finding in found] == areas
    said = next(finding.said for finding in found if finding.area == "channels")
    assert said.startswith(f"ruth/mail and ines/mail: 127.0.0.1:{mail_server.port} answers")  # one login for both
    assert mail_server.mails == []


def test_what_is_wrong_with_an_installation_is_told(tmp_path: Path, names: Callable[[Zone], Ask]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = ', hook: "json://127.0.0.1:9/s3cret"'
    app = opened(tmp_path, subscribers(port, more), "mail_from: news@corvid.example\n")
    (tmp_path / "data" / "secret.key").chmod(0o644)
    row = make.delivery("late", now=NOW + timedelta(days=1))
    app.store.outbox.add(row)
    found = examined(app, names(GOOD))
    wrong = {finding.area: finding for finding in found if finding.state != "good"}
    assert {area: finding.state for area, finding in wrong.items() if area != "channels"} == {
        "permissions": "warning",
        "clock": "bad",
        "links": "warning",
        "contact": "warning",
    }
    states = [finding.state for finding in found if finding.area == "channels"]
    assert states == ["bad", "untested"]
    assert all(finding.fix for finding in wrong.values())
    assert "s3cret" not in repr(found)


def test_the_channels_that_alerts_go_on_to_are_logged_in_to_and_get_a_test(
    tmp_path: Path, mail_server: MailServer, names: Callable[[Zone], Ask]
) -> None:
    to = f"mailto://127.0.0.1:{mail_server.port}?to=pager@corvid.example"
    other = to.replace("pager", "second")
    escalate = f'{{after: 5m, to: [pager, "{other}"]}}'
    topics = f"topics: {{sanctions: {{any: [sanction], severity: critical, escalate: {escalate}}}}}"
    monitor = f'{MONITOR}channels: {{pager: "{to}"}}\n'
    app = opened(tmp_path, "", monitor, topics)
    sent = doctor.send_test(app, "escalations", NOW)
    assert [(one.channel, one.outcome.kind) for one in sent] == [("pager", "sent"), ("sanctions-2", "sent")]
    assert [mail.rcpt_tos[0] for mail in mail_server.mails] == ["pager@corvid.example", "second@corvid.example"]
    (finding,) = [finding for finding in examined(app, names(GOOD)) if finding.area == "channels"]
    assert finding.said.startswith("escalations/pager and escalations/sanctions-2: 127.0.0.1")


def test_a_database_without_tables_is_told_of(tmp_path: Path, names: Callable[[Zone], Ask]) -> None:
    config = make.config(tmp_path / "config", subscribers=subscribers(9), feeds=FEEDS, monitor=MONITOR)
    found = examined(open_app(config, tmp_path / "data", migrate=False), names(GOOD))
    (finding,) = [finding for finding in found if finding.area == "database"]
    assert (finding.state, finding.fix) == ("bad", "run `monitor migrate`")


def test_a_bots_token_is_asked_about_and_nothing_is_posted(
    tmp_path: Path, names: Callable[[Zone], Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    slack = WebServer(lambda _: (200, {}, b'{"ok": false, "error": "invalid_auth"}'))
    monkeypatch.setattr("monitor.send.slack.NewsSlack.api_url", f"http://127.0.0.1:{slack.port}/api/{{}}")
    text = 'subscribers: {ruth: {channels: {slack: "slack://xoxb-1234-1234-s3cret/#desk"}}}'
    try:
        found = [f for f in examined(opened(tmp_path, text), names(GOOD)) if f.area == "channels"]
        assert [(f.state, f.said) for f in found] == [("bad", "ruth/slack: Slack says invalid_auth")]
        slack.answer = lambda _: (200, {}, b'{"ok": true, "team": "Corvid"}')
        found = [f for f in examined(opened(tmp_path / "2", text), names(GOOD)) if f.area == "channels"]
        assert [f.state for f in found] == ["good"]
        assert [asked.path for asked in slack.asked] == ["/api/auth.test"] * 2
    finally:
        slack.close()


# --- the command -----------------------------------------------------------------------------------------------


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask, *arguments: str) -> Result:
    monkeypatch.setattr(doctor, "resolver", lambda: ask)
    where = ("--config", str(folder / "config"), "--data", str(folder / "data"))
    return CliRunner().invoke(cli, ["doctor", *where, *arguments])


def test_the_command_exits_with_1_where_something_is_bad_and_sends_a_test_on_request(
    tmp_path: Path, mail_server: MailServer, names: Callable[[Zone], Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    make.write_config(tmp_path / "config", subscribers=subscribers(mail_server.port), feeds=FEEDS, monitor=MONITOR)
    ask = names(GOOD)
    done = run(tmp_path, monkeypatch, ask, "--send", "ruth", "--dkim", "s1")
    assert done.exit_code == 0, done.output
    assert "test to ruth/mail: sent (250 2.0.0 OK: queued)" in done.output
    (mail,) = mail_server.mails
    assert mail.rcpt_tos == ["ruth@corvid.example"]
    assert b"This is a test" in mail.content

    mail_server.replies["RCPT"] = "550 5.1.1 no such user"
    done = run(tmp_path, monkeypatch, ask, "--send", "ruth", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert told["sent"][0]["outcome"]["bounce"] == "hard"
    assert {finding["state"] for finding in told["findings"]} == {"good"}

    done = run(tmp_path, monkeypatch, ask, "--send", "nobody")
    assert (done.exit_code, type(done.exception).__name__) == (1, "NotFoundError")

    done = run(tmp_path, monkeypatch, names({("other.example", "A"): ["127.0.0.1"]}))
    assert done.exit_code == 1
    assert "bad      mail        corvid.example does not exist" in done.output
    assert "Fix: check `mail_from`" in done.output


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("", "warning"),  # `public_url` is on loopback
        ("public_url: https://desk.corvid.example/\n", "good"),
        ("fetch: {user_agent: Mozilla/5.0}\n", "warning"),
        ("fetch: {user_agent: Corvid/1 (+desk@corvid.example)}\n", "good"),
    ],
)
def test_publishers_are_told_whom_to_ask(tmp_path: Path, said: str, state: str) -> None:
    app = open_app(make.config(tmp_path / "config", monitor=f"web: off\n{said}", feeds="", subscribers=""), tmp_path)
    (found,) = [one for one in doctor.examine(app, NOW, lambda *_: None) if one.area == "contact"]
    assert found.state == state
    assert bool(found.fix) == (state == "warning")
    app.store.close()
    app.sender.close()
