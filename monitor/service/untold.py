"""Who was not told of a story since nothing had to be decided for them: worked out, and not recorded (decision 17)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.app import App
from monitor.dispatch import Reason
from monitor.models import Policy
from monitor.rules import Explanation
from monitor.store.archive import Journey


@dataclass(frozen=True, slots=True)
class Untold:
    """Why nothing had to be decided for a subscriber, by the policy of the time.

    `outside` are the topics whose scope leaves the story out, and by what. `known`: was a subscriber then, switched on.
    """

    subscriber: str
    reason: Reason
    detail: str
    outside: tuple[tuple[str, str], ...] = ()
    known: bool = True


def untold(
    app: App, journey: Journey, topics: Sequence[tuple[str, Explanation]], asked: str | None
) -> Iterator[Untold]:
    """Yield those, or the one `asked` about, for whom nothing was decided, of then and of now.

    `topics` are what the rules of now say.
    """
    policy = app.store.policies.policy(max((m.policy_id or 0 for m in journey.matches), default=0), journey.story)
    if policy is None:
        return
    decided = {row.subscriber for row in journey.decisions}
    matched = ", ".join(match.topic for match in journey.matches) or "none"
    for name in [asked] if asked is not None else dict.fromkeys((*policy.topics, *app.config.subscribers)):
        if name in decided:
            continue
        if name not in policy.topics:
            yield Untold(name, Reason.NOT_SUBSCRIBED, "was no subscriber then, or switched off", known=False)
            continue
        followed = policy.topics[name]
        outside = tuple(
            (topic, f"{found.note}{_changed(app, policy, topic)}")
            for topic, found in topics
            if topic in followed and _out_of_scope(found)
        )
        if outside:
            yield Untold(name, Reason.OUT_OF_SCOPE, "; ".join(map(": ".join, outside)), outside)
        else:
            yield Untold(name, Reason.NOT_SUBSCRIBED, f"no subscription covered a topic that matched ({matched})")


def _out_of_scope(found: Explanation) -> bool:
    """Whether a topic's words are in a story that its scope leaves out (see `Rules.explain`)."""
    return found.text == "in scope" and all(child.true for child in found.children)


def _changed(app: App, policy: Policy, topic: str) -> str:
    same = policy.rules.get(topic) == app.rules.compiled(topic).version
    return "" if same else " (by the rule of now, which is another one than then)"
