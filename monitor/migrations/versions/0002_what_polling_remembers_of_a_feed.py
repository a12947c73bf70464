"""What polling remembers of a feed."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from monitor.models import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = (
    "whole_due_at",
    "address",
    "moved_to",
    "moved_since",
    "moved_polls",
    "gone_since",
    "span",
    "ttl",
    "rhythm",
    "gap_at",
    "silent_at",
    "took",
    "told",
)


def upgrade() -> None:
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        batch_op.add_column(sa.Column("whole_due_at", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("address", AutoString(), nullable=True))
        batch_op.add_column(sa.Column("moved_to", AutoString(), nullable=True))
        batch_op.add_column(sa.Column("moved_since", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("moved_polls", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("gone_since", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("span", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("ttl", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("rhythm", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("gap_at", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("silent_at", UTCDateTime(), nullable=True))
        batch_op.add_column(sa.Column("took", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("told", AutoString(), nullable=False, server_default=""))
    op.create_table(
        "site_rest",
        sa.Column("site", AutoString(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
    )
    op.create_table(
        "feed_document",
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("seen", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("feed"),
    )
    op.create_index("ix_sighting_seen", "sighting", ["feed", "seen_at"])


def downgrade() -> None:
    op.drop_index("ix_sighting_seen", "sighting")
    op.drop_table("feed_document")
    op.drop_table("site_rest")
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        for column in COLUMNS:
            batch_op.drop_column(column)
