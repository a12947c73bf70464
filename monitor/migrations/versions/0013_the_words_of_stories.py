"""The full-text index of the archive, filled with the stories that are there, and an index for what pages count."""

import sqlalchemy as sa
from alembic import op

from monitor.store import fulltext

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    edited = sa.text("edits > 0")
    op.create_index("ix_story_edits", "story", ["edits"], sqlite_where=edited, postgresql_where=edited)
    fulltext.make(op.get_bind())


def downgrade() -> None:
    fulltext.drop(op.get_bind())
    op.drop_index("ix_story_edits", "story")
