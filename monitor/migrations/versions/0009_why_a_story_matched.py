"""Why a story matched a topic or came close to it, as it was decided."""

import sqlalchemy as sa
from alembic import op

from monitor.models import UTCDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "verdict",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("story_id", _ID, sa.ForeignKey("story.id"), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("matched", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("tree", sa.JSON(), nullable=False),
        sa.Column("decided_at", UTCDateTime(), nullable=False),
    )
    op.create_index("ix_verdict_story", "verdict", ["story_id", "topic"])
    # Messages are counted by state on every page of the desk, and their payloads make each row a page of its own.
    op.create_index("ix_delivery_state", "delivery", ["state", "finished_at"])


def downgrade() -> None:
    op.drop_index("ix_delivery_state", "delivery")
    op.drop_table("verdict")
