"""Every address that the page on channels teaches is one that the program takes, and for what it is meant to be."""

from __future__ import annotations

import re

import pytest
import yaml

from monitor.send import Sender
from tests.conftest import PROJECT

PAGE = (PROJECT / "docs" / "howto" / "channels.md").read_text("utf-8")
SECRETS = {
    "SMTP_PASSWORD": "pass%2Fword",
    "GMAIL_APP_PASSWORD": "abcdefghijklmnop",
    "OFFICE_PASSWORD": "pass%40word",
    "SES_USER": "AKIAIOSFODNN7EXAMPLE",
    "SES_PASSWORD": "ab%2Fcd%2Bef",
    "SLACK_TOKEN_A": "T1JJ3T3L2",
    "SLACK_TOKEN_B": "A1BRTD4JD",
    "SLACK_TOKEN_C": "TIiajkdnlazkcOXrIdevi7",
    "SLACK_BOT_TOKEN": "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d",
    "MATTERMOST_HOOK": "3ccdd113474722377935511fc85d3dd4",
    "TEAMS_WORKFLOW": "0123456789abcdef",
    "TEAMS_SIGNATURE": "sig_na-ture",
    "DISCORD_TOKEN": "B4Vd7z0X9Yq2L5n8R1t6W3u0P7s4K1m8",
    "TELEGRAM_BOT_TOKEN": "123456789:abcdefg_hijklmnop-AAAAAAAAAAAAAAAAA",
    "NTFY_TOKEN": "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
    "NTFY_TOPIC": "desk-h3Qd9w",
    "HOOK_TOKEN": "abcdef",
    "MATRIX_TOKEN": "syt_abcdef",
}
SERVERS = {
    "local": ("localhost", 25, "insecure"),
    "relay": ("smtp.example.org", 587, "starttls"),
    "implicit-tls": ("smtp.example.org", 465, "ssl"),
    "gmail": ("smtp.gmail.com", 587, "starttls"),
    "office": ("smtp.office365.com", 587, "starttls"),
    "direct": ("example-org.mail.protection.outlook.com", 25, "starttls"),
    "ses": ("email-smtp.eu-west-1.amazonaws.com", 587, "starttls"),
}
SERVICES = ("postfix", "Gmail", "Office 365", "Amazon SES", "Slack", "Teams", "Discord", "Telegram", "ntfy", "webhook")


def addresses() -> dict[str, str]:
    found: dict[str, str] = {}
    for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        channels = yaml.safe_load(block)["channels"]
        assert found.keys().isdisjoint(channels)
        found |= channels
    return {name: re.sub(r"\$\{(\w+)\}", lambda match: SECRETS[match[1]], url) for name, url in found.items()}


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_has_an_address_for_each_service(service: str) -> None:
    section = re.search(rf"^##+ [^\n]*{service}.*?(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section
    assert "```yaml" in section.group()


@pytest.mark.parametrize("name", addresses())
def test_each_address_of_the_page_is_good(name: str) -> None:
    sender, url = Sender("News <news@example.org>"), addresses()[name]
    assert sender.check(url) == ""
    if name in SERVERS:
        server = sender._service(url).server
        assert (server.host, server.port, server.mode) == SERVERS[name]


def test_what_an_address_of_the_page_holds_is_read_as_it_was_meant() -> None:
    sender, page = Sender("News <news@example.org>"), addresses()
    assert sender._service(page["ses"]).server.password == "ab/cd+ef"
    assert sender._service(page["office"]).server.user == "desk@example.org"
    assert sender._service(page["ses"]).headers == {"X-SES-CONFIGURATION-SET": "news"}
    kinds = {name: sender.kind(url) for name, url in page.items()}
    assert {name for name, kind in kinds.items() if kind == "mail"} == set(SERVERS)
    assert {name for name, kind in kinds.items() if kind == "slack"} == {
        "slack",
        "slack-bot",
        "slack-bot-private",
        "rocket",
    }
