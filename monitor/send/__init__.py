"""A message goes out, and what became of it is a value. The only importer of Apprise.

Operators write plain Apprise addresses. Mail and Slack go through subclasses of Apprise's own plugins, registered in
its manager, because the stock ones cannot say why they failed, make up a new Message-ID for every attempt, and derive
the text part from the HTML (docs/decisions/0003-apprise-subclasses.md). All other services stay stock.
"""

from __future__ import annotations

from monitor.send.mail import compose
from monitor.send.outcome import Bounce, OnWire, Outcome, Probe
from monitor.send.sender import Kind, Message, Sender

__all__ = ["Bounce", "Kind", "Message", "OnWire", "Outcome", "Probe", "Sender", "compose"]
