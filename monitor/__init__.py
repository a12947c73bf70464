"""News Monitor: watches news feeds and alerts people to the stories that their rules describe."""

__version__ = "0.1.0"
