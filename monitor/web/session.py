"""Who is at the desk: the signed cookie that stands for the token, and the tokens that forms carry. Pure.

The cookie says when it was given out and nothing else; its MAC covers the desk's token too, so that a changed token
ends every session. A form's token is a MAC of the session, which another site's page can neither read nor guess
(OWASP, Cross-Site Request Forgery Prevention: HMAC-based token pattern).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

COOKIE = "monitor_session"
FIELD = "form_token"
LASTS = 14 * 86400  # seconds that a session lasts; it is not prolonged


@dataclass(frozen=True, slots=True)
class Sessions:
    """Gives out and checks sessions and form tokens, with the key that also signs links."""

    secret: bytes
    token: str | None

    def start(self, now: float) -> str:
        """Return a fresh cookie; `now` is in seconds since 1970."""
        issued = str(int(now))
        return f"{issued}.{self._mac('session', issued)}"

    def holds(self, cookie: str, now: float) -> bool:
        """Whether a cookie is one of ours and still good."""
        issued, _, mac = cookie.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac("session", issued).encode()):
            return False
        return 0 <= now - int(issued) < LASTS

    def knows(self, given: str) -> bool:
        """Whether `given` is the desk's token, compared in constant time."""
        return self.token is not None and hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def form_token(self, session: str) -> str:
        """Return what forms of a session carry; `session` is its cookie, or who the visitor is without one."""
        return self._mac("form", session)

    def fits(self, form_token: str, session: str) -> bool:
        """Whether a form was made for this session."""
        return hmac.compare_digest(form_token.encode("utf-8", "replace"), self.form_token(session).encode())

    def _mac(self, purpose: str, text: str) -> str:
        said = f"{purpose}\0{text}\0{self.token or ''}".encode("utf-8", "replace")
        return hmac.new(self.secret, b"the desk\0" + said, hashlib.sha256).hexdigest()
