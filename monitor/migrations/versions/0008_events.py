"""Events by likeness: what stories are compared by, why each is in its event, and what operators changed."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from monitor.models import UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("story", schema=None) as batch_op:
        batch_op.drop_index("ix_story_title_fold")
        batch_op.add_column(sa.Column("event_why", AutoString(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("event_refused", sa.JSON(), nullable=True))
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told", sa.JSON(), nullable=True))
    op.create_table(
        "story_sketch",
        sa.Column("story_id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("arrived", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("title_terms", sa.Integer(), nullable=False),
        sa.Column("lead_terms", sa.Integer(), nullable=False),
        sa.Column("standing", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("names", sa.BigInteger(), nullable=False),
        sa.Column("voice", sa.Integer(), nullable=False),
        sa.Column("terms", AutoString(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["story_id"], ["story.id"]),
        sa.PrimaryKeyConstraint("story_id"),
    )
    op.create_index("ix_story_sketch_event_id", "story_sketch", ["event_id"])
    op.create_index("ix_story_sketch_arrived", "story_sketch", ["arrived"])
    op.create_table(
        "event_change",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("into_id", _ID, nullable=False),
        sa.Column("story_ids", sa.JSON(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("event_change")
    op.drop_table("story_sketch")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_column("told")
    with op.batch_alter_table("story", schema=None) as batch_op:
        batch_op.drop_column("event_refused")
        batch_op.drop_column("event_why")
        batch_op.create_index("ix_story_title_fold", ["title_fold", "first_seen_at"], unique=False)
