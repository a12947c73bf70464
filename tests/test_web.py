"""The web pages, asked over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Scope

from monitor.errors import StoreError
from monitor.links import ALL_TOPICS, Purpose, Target, read, sign
from monitor.web import IncidentView, LinkView, create_app
from monitor.web.guard import BODY_LIMIT, BodyLimit, Gate, Proxy, is_public
from monitor.web.login import TRIES, local
from monitor.web.pages import Pages
from monitor.web.session import LASTS, Sessions

SECRET = b"a key for tests"
TOKEN = "open-sesame"
SITE = "Heron <desk> & co"
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = (
    b"--xyz\r\nContent-Disposition: form-data; name=List-Unsubscribe\r\n\r\nOne-Click\r\n--xyz--\r\n",
    {"Content-Type": "multipart/form-data; boundary=xyz"},
)
TITLES = {"ruth": 'Ruth "R" <Whitcombe>', "sanctions": "Sanctions & <script>alert(1)</script>"}


@dataclass
class Desk:
    """A backend with two names, real tokens and what is off, in memory."""

    off: set[Target] = field(default_factory=set)
    state: tuple[bool, str] = (True, "Ready: 3 feeds.")
    broken: Exception | None = None
    pressed: int = 0

    def _target(self, token: str) -> Target | None:
        if self.broken:
            raise self.broken
        target = read(SECRET, token)
        known = target and target.subscriber in TITLES and target.topic in (ALL_TOPICS, *TITLES)
        return target if known else None

    def ready(self) -> tuple[bool, str]:
        return self.state

    def describe(self, token: str) -> LinkView | None:
        target = self._target(token)
        if target is None:
            return None
        topic = "" if target.topic == ALL_TOPICS else TITLES[target.topic]
        return LinkView(TITLES[target.subscriber], topic, target in self.off)

    def turn_off(self, token: str) -> bool:
        target = self._target(token)
        if target:
            self.off.add(target)
        return target is not None

    def turn_on(self, token: str) -> bool:
        target = self._target(token)
        if target:
            self.off.discard(target)
        return target is not None

    def get_less(self, token: str, how: str) -> datetime | None:
        return datetime(2026, 12, 1, tzinfo=UTC) if self._target(token) and how in ("week", "daily") else None

    def incident(self, token: str) -> IncidentView | None:
        target = read(SECRET, token, Purpose.ACKNOWLEDGE)
        if target is None or target.topic != "1f":
            return None
        by, at = ("Ruth", "today 09:12") if target in self.off else ("", "")
        return IncidentView(TITLES["sanctions"], TITLES["ruth"], by, at, "" if by else "09:27")

    def acknowledge(self, token: str) -> bool:
        target = read(SECRET, token, Purpose.ACKNOWLEDGE)
        if target is None or target.topic != "1f":
            return False
        self.off.add(target)
        return True

    def part(self, app: FastAPI, pages: Pages, _sessions: Sessions) -> None:
        """A page and a button of a desk, for what stands before them all."""

        @app.api_route("/", methods=["GET", "HEAD"])
        def desk(request: Request) -> Response:
            if self.broken:
                raise self.broken
            return pages.page(request.scope["path"], "refusal", heading="<b>Baltic</b> Wire", remedy="", asks=False)

        @app.post("/press")
        async def press() -> Response:
            self.pressed += 1
            return PlainTextResponse("pressed")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


class Client:
    """Asks one server; follows no redirect and keeps no cookie."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=isinstance(body, Iterator))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()


@contextmanager
def serving(app: FastAPI) -> Iterator[Client]:
    """The application behind a real server in a thread, on a free port of loopback."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def app_of(desk: Desk, token: str | None = None, proxy: Proxy | None = None) -> FastAPI:
    return create_app(
        desk,
        site=SITE,
        token=token,
        host_names=["news.example", "www.heron.example", "2001:db8::7"],
        secret=SECRET,
        proxy=proxy,
        parts=[desk.part],
    )


@pytest.fixture(scope="module")
def one_desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def open_server(one_desk: Desk) -> Iterator[Client]:
    with serving(app_of(one_desk)) as client:
        yield client


@pytest.fixture(scope="module")
def gated_server(one_desk: Desk) -> Iterator[Client]:
    with serving(app_of(one_desk, TOKEN)) as client:
        yield client


@pytest.fixture
def desk(one_desk: Desk) -> Desk:
    """The servers' backend, as new: starting a server for each test would take most of the time."""
    one_desk.off, one_desk.state, one_desk.broken = set(), (True, "Ready: 3 feeds."), None
    one_desk.pressed = 0
    return one_desk


@pytest.fixture
def ask(desk: Desk, open_server: Client) -> Client:  # noqa: ARG001  # asked for so that the backend is as new
    return open_server


@pytest.fixture
def ask_gated(desk: Desk, gated_server: Client) -> Client:  # noqa: ARG001  # as above
    return gated_server


EVERYTHING = Target("ruth")
ALL_LINK = f"/u/{sign(SECRET, 'ruth')}"
TOPIC_LINK = f"/u/{sign(SECRET, 'ruth', 'sanctions')}"
ACKNOWLEDGE_LINK = f"/a/{sign(SECRET, 'ruth', '1f', Purpose.ACKNOWLEDGE)}"


# --- unsubscribe links ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_a_link_changes_nothing(ask: Client, desk: Desk, method: str) -> None:
    answer = ask(method, ALL_LINK)
    assert (answer.status, desk.off) == (200, set())
    assert bool(answer.text) == (method == "GET")


def test_the_page_of_a_link_has_a_button_that_posts_and_some_for_less(ask: Client, desk: Desk) -> None:
    page = ask("GET", ALL_LINK).text
    assert page.count("<form") == page.count('<form method="post"') == 2
    assert page.count("<button") == page.count('name="how"') + 1 == 3
    action = re.search(r'<form method="post" action="([^"]+)"', page)
    assert action
    assert f"/u/../{action[1]}" == f"/u/../..{ALL_LINK}"  # relative, so that a proxy's prefix does not matter
    assert ask("POST", ALL_LINK, FORM, b"").status == 200
    assert desk.off == {EVERYTHING}


@pytest.mark.parametrize(
    ("body", "headers"),
    [(ONE_CLICK, FORM), MULTIPART, (b"", {}), (b"\xff\0", {"Content-Type": "text/x-odd"})],
    ids=["urlencoded", "multipart", "empty", "odd"],
)
def test_one_click_acts_at_once_without_redirect_or_cookie(
    ask: Client, desk: Desk, body: bytes, headers: dict[str, str]
) -> None:
    answer = ask("POST", ALL_LINK, headers, body)
    assert (answer.status, desk.off) == (200, {EVERYTHING})
    assert not {"location", "set-cookie"} & {name.lower() for name in answer.headers}


def test_one_click_passes_a_desk_that_demands_a_token(ask_gated: Client, desk: Desk) -> None:
    assert ask_gated("POST", ALL_LINK, FORM, ONE_CLICK).status == 200
    assert desk.off == {EVERYTHING}


@pytest.mark.parametrize(
    ("link", "how", "said"),
    [
        (ALL_LINK, "daily", "gets one mail a day"),
        (ALL_LINK, "week", "gets nothing until 1 December"),
        (TOPIC_LINK, "week", "until 1 December"),
        (TOPIC_LINK, "daily", "once a day"),
        (ALL_LINK, "nonsense", "Stop all alerts and digests?"),
    ],
)
def test_getting_less_says_what_comes_and_unsubscribes_nobody(
    ask: Client, desk: Desk, link: str, how: str, said: str
) -> None:
    answer = ask("POST", f"{link}/less", FORM, f"how={how}".encode())
    assert (answer.status, desk.off) == (200, set())
    assert said in answer.text


def test_unsubscribing_twice_is_harmless(ask: Client, desk: Desk) -> None:
    first, second = (ask("POST", ALL_LINK, FORM, ONE_CLICK) for _ in range(2))
    assert first.text == second.text
    assert (second.status, desk.off) == (200, {EVERYTHING})


def test_a_topic_link_stops_that_topic_only_and_says_which(ask: Client, desk: Desk) -> None:
    answer = ask("POST", TOPIC_LINK, FORM, ONE_CLICK)
    assert desk.off == {Target("ruth", "sanctions")}
    assert "Sanctions &amp; &lt;script&gt;alert(1)&lt;/script&gt;</bdi> is stopped" in answer.text


def test_undo_puts_it_back_and_the_page_before_offers_it(ask: Client, desk: Desk) -> None:
    page = ask("POST", TOPIC_LINK, FORM, ONE_CLICK).text
    assert f'action="..{TOPIC_LINK}/undo"><button' in page.replace(' class="actions"', "")
    answer = ask("POST", f"{TOPIC_LINK}/undo", FORM, b"")
    assert (answer.status, desk.off) == (200, set())
    assert "Started again" in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_undo_by_get_does_not_exist(ask: Client, desk: Desk, method: str) -> None:
    desk.off.add(EVERYTHING)
    answer = ask(method, f"{ALL_LINK}/undo")
    assert (answer.status, answer.headers["Allow"], desk.off) == (405, "POST", {EVERYTHING})


def test_a_link_already_used_says_so_and_offers_the_way_back(ask: Client, desk: Desk) -> None:
    desk.off.add(EVERYTHING)
    page = ask("GET", ALL_LINK).text
    assert "already unsubscribed" in page
    assert f"{ALL_LINK}/undo" in page
    assert page.count("<button") == 1


@pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("HEAD", ""), ("POST", ""), ("POST", "/undo")])
@pytest.mark.parametrize(
    "token", ["x", sign(b"another key", "ruth"), sign(SECRET, "removed"), "%00", "a" * 3000, "%3Cscript%3E"]
)
def test_an_unknown_link_gets_a_page_that_explains(ask: Client, desk: Desk, method: str, tail: str, token: str) -> None:
    answer = ask(method, f"/u/{token}{tail}")
    assert (answer.status, desk.off) == (404, set())
    if method != "HEAD":
        assert "This link is not known here" in answer.text
        assert "<script" not in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_an_acknowledging_link_acknowledges_nothing(ask: Client, desk: Desk, method: str) -> None:
    answer = ask(method, ACKNOWLEDGE_LINK)
    assert (answer.status, desk.off) == (200, set())
    assert answer.text.count("<button") == (method == "GET")


def test_acknowledging_by_post_acts_at_once_and_twice_is_harmless(ask_gated: Client, desk: Desk) -> None:
    first, second = (ask_gated("POST", ACKNOWLEDGE_LINK, FORM, b"") for _ in range(2))
    assert (first.status, desk.off) == (200, {Target("ruth", "1f")})
    assert first.text == second.text
    assert "Acknowledged by <b><bdi>Ruth</bdi></b>" in first.text
    assert "<button" not in first.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "token",
    [
        "x",
        sign(b"another key", "ruth", "1f", Purpose.ACKNOWLEDGE),
        sign(SECRET, "ruth", "1f"),
        sign(SECRET, "ruth", "1f", Purpose.PREFERENCES),
        sign(SECRET, "ruth", "gone", Purpose.ACKNOWLEDGE),
    ],
    ids=["garbage", "other key", "unsubscribes", "preferences", "unknown incident"],
)
def test_an_acknowledging_link_is_refused_alike_whatever_is_wrong_with_it(
    ask: Client, desk: Desk, method: str, token: str
) -> None:
    answer, forged = ask(method, f"/a/{token}"), ask(method, "/a/AAAA")
    assert (answer.status, desk.off) == (404, set())
    assert answer.text == forged.text


@pytest.mark.parametrize("path", ["/u/", "/a/"])
def test_a_link_of_one_purpose_opens_no_other(ask: Client, path: str) -> None:
    for purpose in Purpose:
        token = sign(SECRET, "ruth", "1f" if path == "/a/" else ALL_TOPICS, purpose)
        own = purpose is (Purpose.ACKNOWLEDGE if path == "/a/" else Purpose.UNSUBSCRIBE)
        assert ask("POST", path + token).status == (200 if own else 404)


def test_names_of_others_are_shown_as_text(ask: Client) -> None:
    pages = [
        ask("GET", ALL_LINK),
        ask("GET", ACKNOWLEDGE_LINK),
        ask("POST", TOPIC_LINK),
        ask("POST", f"{TOPIC_LINK}/undo"),
        ask("GET", "/"),
    ]
    for page in pages:
        assert "Heron &lt;desk&gt; &amp; co" in page.text
        assert not re.search(r"<script|<desk|<Whitcombe|<b>Baltic", page.text)
    assert "Ruth &#34;R&#34; &lt;Whitcombe&gt;" in pages[0].text


# --- health and desk -----------------------------------------------------------------------------------------------


def test_healthz_says_ok(ask_gated: Client) -> None:
    answer = ask_gated("GET", "/healthz")
    assert (answer.status, answer.text) == (200, "ok")


@pytest.mark.parametrize(
    ("state", "status"), [((True, "Ready: 3 feeds."), 200), ((False, "No poll for 2 hours."), 503)]
)
def test_readyz_says_why(ask_gated: Client, desk: Desk, state: tuple[bool, str], status: int) -> None:
    desk.state = state
    answer = ask_gated("GET", "/readyz")
    assert (answer.status, answer.text) == (status, state[1])


# --- the gate ------------------------------------------------------------------------------------------------------


def test_every_route_is_on_the_public_list_or_gated(ask_gated: Client, desk: Desk) -> None:
    public = {
        "/healthz",
        "/readyz",
        "/a/{token}",
        "/u/{token}",
        "/u/{token}/undo",
        "/u/{token}/less",
        "/static",
        "/login",
    }
    seen = set()
    for route in app_of(desk, TOKEN).routes:
        assert isinstance(route, Route | Mount), f"the walk does not know {route!r}"
        seen.add(route.path)
        methods = (route.methods or set()) if isinstance(route, Route) else {"GET"}
        path = re.sub(r"\{[^}]*\}", "x", route.path) + ("/x" if isinstance(route, Mount) else "")
        for method in methods:
            refused = "WWW-Authenticate" in ask_gated(method, path).headers  # a wrong token at /login is a 401 too
            assert refused == (route.path not in public), (method, route.path)
    assert seen == public | {"/", "/press", "/logout"}  # a new route must be put here on purpose


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/nothing", "/u", "/healthz/", "//u/x", "/U/x", "/metrics"]
)
def test_what_is_not_public_is_closed_even_when_it_does_not_exist(ask_gated: Client, path: str) -> None:
    answer = ask_gated("GET", path)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer TOKEN" in answer.text
    assert "Baltic" not in answer.text


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/", f"Bearer {TOKEN}", 200),
        ("/", f"bearer {TOKEN}", 200),
        ("/", f"Bearer {TOKEN}x", 401),
        ("/", f"Bearer {TOKEN[:-1]}", 401),
        ("/", "Bearer ", 401),
        ("/", "Bearer é", 401),
        ("/", f"Basic {TOKEN}", 401),
        ("/", TOKEN, 401),
        (f"/?token={TOKEN}", "", 401),
        (f"/?access_token={TOKEN}", "", 401),
    ],
)
def test_only_the_bearer_header_opens_the_desk(ask_gated: Client, path: str, given: str, status: int) -> None:
    assert ask_gated("GET", path, {"Authorization": given}).status == status


@pytest.mark.parametrize("path", ["/u/../", "/static/../", "/static/..%2f..%2f__init__.py", "/u/x/../../"])
def test_a_path_that_climbs_out_of_the_public_part_finds_nothing(ask_gated: Client, path: str) -> None:
    answer = ask_gated("GET", path)
    assert answer.status in (401, 404)
    assert "Baltic" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize("document", ["/docs", "/redoc", "/openapi.json"])
def test_no_page_describes_the_routes(ask: Client, document: str) -> None:
    assert ask("GET", document).status == 404


def test_without_a_token_the_desk_is_shown_to_this_machine_only(ask: Client) -> None:
    # A proxy on the same machine adds it: whoever came through it is somewhere else.
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    assert [ask("GET", "/").status, ask("GET", "/", forwarded).status] == [200, 403]
    assert ask("POST", ALL_LINK, forwarded, ONE_CLICK).status == 200


@pytest.mark.parametrize("client", [None, ("203.0.113.9", 1), ("2001:db8::1", 1), ("", 0), ("/run/web.sock", 0)])
async def test_without_a_token_an_unknown_client_is_refused(client: tuple[str, int] | None) -> None:
    async def inside(_scope: Scope, _receive: object, _send: object) -> None:
        raise AssertionError("the gate was open")

    statuses = await statuses_of(Gate(inside, Sessions(SECRET, None), Pages(SITE).refusal), [], client=client)
    assert statuses == [403]


# --- sessions, proxies, forms --------------------------------------------------------------------------------------


def login(ask: Client, token: str = TOKEN, to: str = "/") -> Answer:
    return ask("POST", "/login", FORM, urlencode({"token": token, "to": to}).encode())


def cookie_of(answer: Answer) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_the_token_begins_a_session_that_opens_the_desk(ask_gated: Client) -> None:
    answer = login(ask_gated, to="/topics/a?days=7")
    assert (answer.status, answer.headers["Location"]) == (303, "./topics/a?days=7")
    given = answer.headers["Set-Cookie"].lower()
    assert "httponly" in given
    assert "samesite=lax" in given
    assert TOKEN not in given
    assert ask_gated("GET", "/", {"Cookie": cookie_of(answer)}).status == 200


def test_a_wrong_token_begins_none_and_the_page_says_so(ask_gated: Client) -> None:
    answer = login(ask_gated, "open-sesam")
    assert (answer.status, answer.headers["Set-Cookie"]) == (401, None)
    assert "That is not the token" in answer.text


def test_a_refused_page_offers_the_way_in_and_back_to_it(ask_gated: Client) -> None:
    page = ask_gated("GET", "/topics/border").text
    assert 'action="../login"' in page
    assert 'name="to" value="/topics/border"' in page


def test_guesses_are_not_looked_at_without_end(desk: Desk) -> None:
    with serving(app_of(desk, TOKEN)) as ask:
        statuses = [login(ask, f"guess {number}").status for number in range(TRIES + 1)]
        assert statuses == [401] * TRIES + [429]
        assert login(ask).status == 429  # the right one too: else a guess would tell


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "/a//b", "javascript:1", ""]
)
def test_no_login_leads_to_another_site(to: str) -> None:
    assert local(to) == "/"


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    sessions = Sessions(SECRET, TOKEN)
    cookie = sessions.start(1_000_000)
    assert sessions.holds(cookie, 1_000_000 + LASTS - 1)
    assert not sessions.holds(cookie, 1_000_000 + LASTS)
    assert not sessions.holds(cookie, 999_000)
    assert not Sessions(SECRET, "another").holds(cookie, 1_000_000)
    assert not Sessions(b"another", TOKEN).holds(cookie, 1_000_000)
    assert not any(sessions.holds(bad, 1_000_000) for bad in ("", ".", f"x{cookie}", cookie[:-1], f"1{cookie}", "é.é"))


def press(ask: Client, form_token: str, headers: dict[str, str] | None = None, kind: str = FORM["Content-Type"]) -> int:
    body = urlencode({"form_token": form_token}).encode()
    return ask("POST", "/press", {"Content-Type": kind, **(headers or {})}, body).status


def test_only_a_form_of_ours_for_the_same_visitor_acts(ask_gated: Client, desk: Desk) -> None:
    cookie = cookie_of(login(ask_gated))
    sessions, holder = Sessions(SECRET, TOKEN), {"Cookie": cookie}
    mine = sessions.form_token(cookie.partition("=")[2])
    wrong = [
        press(ask_gated, "", holder),
        press(ask_gated, mine[:-1], holder),
        press(ask_gated, sessions.form_token("this machine"), holder),
        press(ask_gated, mine, holder, "text/plain"),
        press(ask_gated, mine, holder, "multipart/form-data"),
    ]
    assert (wrong, desk.pressed) == ([400] * 5, 0)
    assert press(ask_gated, mine) == 401
    assert (press(ask_gated, mine, holder), desk.pressed) == (200, 1)


def test_a_program_with_the_token_needs_no_form(ask_gated: Client, desk: Desk) -> None:
    assert ask_gated("POST", "/press", {"Authorization": f"Bearer {TOKEN}"}, b"").status == 200
    assert desk.pressed == 1


def test_without_a_token_a_form_is_demanded_all_the_same(ask: Client, desk: Desk) -> None:
    # Another site's page may post to this machine, but it cannot read a page of ours to learn the form's token.
    assert press(ask, "guess") == 400
    assert (press(ask, Sessions(SECRET, None).form_token("this machine")), desk.pressed) == (200, 1)


@pytest.mark.parametrize(
    ("networks", "headers", "status"),
    [
        (["127.0.0.0/8"], {"X-User": "ines"}, 200),
        (["127.0.0.0/8"], {}, 401),
        (["127.0.0.0/8"], {"X-User": " "}, 401),
        (["10.0.0.0/8"], {"X-User": "ines"}, 401),
    ],
)
def test_a_proxy_is_believed_at_its_own_address_only(
    desk: Desk, networks: list[str], headers: dict[str, str], status: int
) -> None:
    proxy = Proxy("X-User", [ipaddress.ip_network(network) for network in networks])
    with serving(app_of(desk, proxy=proxy)) as ask:
        assert ask("GET", "/", headers).status == status


def test_an_empty_token_is_refused_at_start(desk: Desk) -> None:
    with pytest.raises(ValueError, match="empty"):
        app_of(desk, " ")


# --- headers, hosts, bodies, errors --------------------------------------------------------------------------------


def test_every_answer_carries_the_security_headers(ask: Client, ask_gated: Client, desk: Desk) -> None:
    desk.broken = ZeroDivisionError("a fault of ours")
    answers = [
        ask("GET", "/healthz"),
        ask("GET", "/nothing"),
        ask("GET", ALL_LINK),
        ask("GET", "/static/web.css"),
        ask("GET", "/", {"Host": "evil.example"}),
        ask("POST", ALL_LINK, FORM, b"x" * (BODY_LIMIT + 1)),
        ask_gated("GET", "/"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 500, 200, 400, 413, 401]
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert [a.headers["Cache-Control"] for a in answers if a.status != 200] == ["no-store"] * 5


def test_a_page_needs_nothing_that_the_policy_forbids(ask: Client) -> None:
    for page in (ask("GET", ALL_LINK), ask("POST", ALL_LINK), ask("GET", "/"), ask("GET", "/u/x")):
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", page.text)


@pytest.mark.parametrize(
    ("path", "href"), [("/", "static/web.css"), (ALL_LINK, "../static/web.css"), ("/u/x/y", "../../static/web.css")]
)
def test_pages_find_their_style_sheets_at_any_depth(ask: Client, path: str, href: str) -> None:
    assert f'<link rel="stylesheet" href="{href}">' in ask("GET", path).text
    sheet = ask("GET", "/static/web.css")
    assert sheet.headers["Content-Type"].startswith("text/css")
    assert '@import url("tokens.css")' in sheet.text
    assert "--bg:" in ask("GET", "/static/tokens.css").text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("news.example", 200),
        ("NEWS.example:8443", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("evil.example", 400),
        ("news.example.evil.example", 400),
        ("www.news.example", 400),
        ("www.heron.example", 200),
        ("heron.example", 400),  # no redirect to www either: a one-click POST would be lost
        ("[2001:db8::7]", 200),
        ("news.example/u/", 400),
        ("", 400),
    ],
)
def test_only_the_site_s_own_host_names_are_answered(ask: Client, host: str, status: int) -> None:
    assert ask("GET", "/", {"Host": host}).status == status


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(BODY_LIMIT, 200), (BODY_LIMIT + 1, 413)])
def test_a_body_above_64_kilobytes_changes_nothing(
    ask: Client, desk: Desk, size: int, status: int, chunked: bool
) -> None:
    body = b"x" * size
    answer = ask("POST", ALL_LINK, FORM, iter([body[:1000], body[1000:]]) if chunked else body)
    assert (answer.status, bool(desk.off)) == (status, status == 200)


async def statuses_of(
    app: Gate | BodyLimit, messages: list[Message], client: tuple[str, int] | None = ("127.0.0.1", 1)
) -> list[int]:
    """The statuses that a middleware answers with, when the client sends `messages` and then stays silent."""
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": client}
    sent: list[int] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        return await silence()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    await app(scope, receive, send)
    return sent


async def silence() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("messages", "statuses"),
    [
        ([{"type": "http.request", "body": b"half", "more_body": True}], [408]),
        ([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}], []),
    ],
    ids=["too slow", "hung up"],
)
async def test_half_a_request_never_reaches_a_page(messages: list[Message], statuses: list[int]) -> None:
    async def inside(_scope: Scope, _receive: object, _send: object) -> None:
        raise AssertionError("half a request came through")

    assert await statuses_of(BodyLimit(inside, Pages(SITE).refusal, seconds=0.05), messages) == statuses


def test_a_database_that_does_not_answer_gives_503_and_tells_no_details(ask: Client, desk: Desk) -> None:
    desk.broken = StoreError("cannot open /srv/secret/monitor.db")
    answer = ask("POST", ALL_LINK, FORM, ONE_CLICK)
    assert answer.status == 503  # a mail provider tries again
    assert "your link goes on working" in answer.text
    assert "monitor.db" not in answer.text


def test_a_fault_of_ours_gives_500_and_tells_no_details(ask: Client, desk: Desk) -> None:
    desk.broken = ZeroDivisionError("secret detail")
    answer = ask("GET", ALL_LINK)
    assert answer.status == 500
    assert "This page could not be made" in answer.text
    assert "secret detail" not in answer.text


def test_the_public_list_is_what_the_contract_says() -> None:
    assert [
        path
        for path in (
            "/healthz",
            "/readyz",
            "/s/x",
            "/u/x",
            "/a/x",
            "/subscribe",
            "/subscribe/x",
            "/websub/x",
            "/static/web.css",
        )
        if not is_public(path)
    ] == []
    assert [
        path
        for path in ("/", "/s", "/sx", "/subscribers/x/digest", "/subscribed", "/api/x", "/healthzz", "/ux", "/websub")
        if is_public(path)
    ] == []
