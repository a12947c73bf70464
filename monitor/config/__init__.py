"""The configuration: YAML → frozen objects, every problem at once, each with its place and its remedy.

`load_config` reads a folder, `read_config` as much of it as is readable; the models can also be made directly, by their
own names. All of it is read-only.
"""

from monitor.config.config import Config, copy_files
from monitor.config.load import Draft, in_order, load_config, read_config
from monitor.config.models import (
    AlertPolicy,
    DigestSchedule,
    Entity,
    EntityList,
    Escalate,
    Example,
    Examples,
    Feed,
    Group,
    QuietHours,
    Scope,
    Severity,
    Subscriber,
    Subscription,
    Topic,
)
from monitor.config.places import Place, Places
from monitor.config.schema import json_schema
from monitor.config.settings import EventSettings, FetchSettings, OldStories, Polling, Retention, Settings, SignUps, Web
from monitor.config.values import Rate

__all__ = [
    "AlertPolicy",
    "Config",
    "DigestSchedule",
    "Draft",
    "Entity",
    "EntityList",
    "Escalate",
    "EventSettings",
    "Example",
    "Examples",
    "Feed",
    "FetchSettings",
    "Group",
    "OldStories",
    "Place",
    "Places",
    "Polling",
    "QuietHours",
    "Rate",
    "Retention",
    "Scope",
    "Settings",
    "Severity",
    "SignUps",
    "Subscriber",
    "Subscription",
    "Topic",
    "Web",
    "copy_files",
    "in_order",
    "json_schema",
    "load_config",
    "read_config",
]
