"""Slack: Apprise's plugin with ready-made blocks, threads and outcomes of our own."""

from __future__ import annotations

import json
import re
from typing import Any

import requests
from apprise.plugins.slack import CHANNEL_RE, NotifySlack, SlackMode

from monitor.render import SlackMessage
from monitor.send import http  # noqa: F401 - limits what `requests` does here
from monitor.send.outcome import OnWire, Outcome, Probe, from_http, wait

HTTP_TIMEOUT = (5.0, 15.0)  # seconds to connect, and to answer
OURS = (SlackMode.WEBHOOK, SlackMode.WEBHOOK_GOV, SlackMode.BOT)  # a workflow's own webhook takes no blocks

# What Slack says of a message that will be refused the next time too, and of a place or token that is no good any more.
_OF_THE_MESSAGE = re.compile(r"invalid_(?!auth)\w+|msg_\w+|no_text|too_many_\w+|metadata_\w+")
_OF_THE_PLACE = re.compile(
    r"no_service\w*|no_team|no_active_hooks|team_disabled|invalid_auth|invalid_token|channel_not_found"
    r"|channel_is_archived|is_archived|user_not_found|not_in_channel|account_inactive|token_revoked|token_expired"
    r"|not_authed|missing_scope|no_permission|access_denied|action_prohibited|posting_to_general_channel_denied"
    r"|restricted_action\w*|ekm_access_denied|org_login_required"
)
_NO_SUCH_THREAD = ("thread_not_found", "message_not_found", "cannot_reply_to_message")
_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+|ratelimited")


class NewsSlack(NotifySlack):
    """Apprise's Slack plugin: it reads the address, and `deliver` posts ready-made blocks.

    `?base=http://host/services` sends a webhook to a Slack-compatible server (Mattermost, Rocket.Chat, a test).
    """

    def __init__(self, *args: Any, base: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if base:
            self.webhook_url = base.rstrip("/")

    @staticmethod
    def parse_url(url: str) -> Any:
        """Read a slack:// address, with our `base` beside Apprise's own parameters."""
        results = NotifySlack.parse_url(url)
        if results and results.get("qsd", {}).get("base"):
            results["base"] = NotifySlack.unquote(results["qsd"]["base"])
        return results

    @property
    def keeps_threads(self) -> bool:
        """Whether a message can go into another's thread: a webhook is not told where its message went."""
        return bool(self.mode == SlackMode.BOT)

    def deliver(self, message: SlackMessage, on_wire: OnWire, thread: str = "") -> Outcome:
        """Post `message` to the webhook, or as the bot to its channel; never raises for what a server does.

        `thread` is the receipt (Slack's `ts`) of the message whose thread it goes into, where that still exists.
        """
        payload: dict[str, Any] = {
            "text": message.text,
            "blocks": list(message.blocks),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self.mode == SlackMode.BOT:
            url = self.api_url.format("chat.postMessage")
            headers["Authorization"] = f"Bearer {self.access_token}"
            place = CHANNEL_RE.match(next(iter(self.channels)) or "")
            payload["channel"] = place.group("channel") if place else next(iter(self.channels))
            own_thread = place.group("thread_ts") if place else None
            if thread or own_thread:
                payload["thread_ts"] = own_thread or thread
        else:
            base = self.webhook_gov_url if self.mode == SlackMode.WEBHOOK_GOV else self.webhook_url
            url = f"{base}/{self.token_a}/{self.token_b}/{self.token_c}"
        if not on_wire():
            return Outcome("lost")
        outcome = self._post(url, payload, headers)
        if outcome.detail in _NO_SUCH_THREAD and payload.pop("thread_ts", None):
            outcome = self._post(url, payload, headers)
        return outcome

    def probe(self) -> Probe:
        """Ask Slack whether a bot's token is good (`auth.test`), sending nothing; a webhook can only be used."""
        if self.mode != SlackMode.BOT:
            return Probe("untested", "a Slack webhook tells nothing before it is used")
        headers = {"Authorization": f"Bearer {self.access_token}"}
        outcome = self._post(self.api_url.format("auth.test"), {}, headers)
        if outcome.kind == "sent":
            return Probe("good", "Slack knows the bot's token")
        return Probe("bad", f"Slack says {outcome.detail or outcome.code}", "take the bot's token from its page anew")

    def _post(self, url: str, payload: dict[str, Any], headers: dict[str, str]) -> Outcome:
        try:
            answer = requests.post(
                url,
                data=json.dumps(payload).encode(),
                headers=headers,
                timeout=HTTP_TIMEOUT,
                allow_redirects=False,
                verify=self.verify_certificate,
            )
        except requests.ConnectTimeout:
            return Outcome("retry", "timeout", "the server could not be reached in time")
        except requests.ReadTimeout:
            return Outcome("unknown", "timeout", "the server took the message and gave no answer in time")
        except requests.exceptions.SSLError:
            return Outcome("retry", "tls", "the server's certificate is not trusted, or it speaks no TLS")
        except requests.ConnectionError as error:
            refused = "refused" in str(error) or "resolve" in str(error)
            return Outcome("retry" if refused else "unknown", "connection", "the connection failed or broke off")
        except requests.RequestException as error:
            return Outcome("retry", type(error).__name__, "the request could not be made")
        return _read(answer.status_code, answer.content, wait(answer.headers))


def _read(status: int, body: bytes, retry_after: float | None) -> Outcome:
    said = _fields(body)
    # Slack and Mattermost say the first, Slack to a bot the second, Rocket.Chat the third.
    if status == 200 and (body.strip() == b"ok" or said.get("ok") is True or said.get("success") is True):
        ts = said.get("ts")
        return Outcome("sent", "200", receipt=ts if isinstance(ts, str) else "")
    # Only Slack's short error words are kept: an answer of another server is not echoed.
    # With 200 it stands in JSON; where that broke off, other words of it are none.
    found = _WORD.search(str(said.get("error") or ("" if status == 200 else body.decode("utf-8", "replace"))))
    word = found.group()[:60] if found else ""
    if status == 429 or word in ("ratelimited", "rate_limited"):
        return Outcome("retry", str(status), word or "rate limited", retry_after)
    if word in _NO_SUCH_THREAD or _OF_THE_MESSAGE.fullmatch(word):
        return Outcome("permanent", str(status), word)
    if _OF_THE_PLACE.fullmatch(word):
        return Outcome("permanent", str(status), word, bounce="hard")
    if status == 200 and not word:
        return Outcome("unknown", "200", "the service answered, and not whether it took the message")
    return from_http(status, word, retry_after)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
