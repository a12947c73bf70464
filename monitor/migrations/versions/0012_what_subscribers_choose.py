"""What subscribers choose, with its history; who signed up; topics of weekly digests."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from monitor.models import UTCDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.rename_table("preference", "preference_before")
    op.create_table(
        "preference",
        sa.Column("id", _ID, nullable=False),
        sa.Column("subscriber", AutoString(), nullable=False),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("topic", AutoString(), nullable=False),
        sa.Column("setting", AutoString(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.Column("set_at", UTCDateTime(), nullable=False),
        sa.Column("by", AutoString(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        # A name of its own, since the table before holds PostgreSQL's usual one while both are there.
        sa.PrimaryKeyConstraint("id", name="preference_id_pkey"),
    )
    current = sa.text("current")
    op.create_index(
        "ix_preference_current",
        "preference",
        ["subscriber", "key", "topic"],
        unique=True,
        sqlite_where=current,
        postgresql_where=current,
    )
    before = sa.table(
        "preference_before",
        *map(sa.column, ("subscriber", "topic", "setting", "set_at", "until")),
    )
    after = sa.table(
        "preference",
        *map(sa.column, ("subscriber", "key", "topic", "setting", "until", "set_at", "by")),
        sa.column("current", sa.Boolean()),
    )
    key = sa.case((before.c.setting == "pause", "pause"), else_="topic")
    topic = sa.case((before.c.setting == "pause", ""), else_=before.c.topic)
    op.execute(
        after.insert().from_select(
            ["subscriber", "key", "topic", "setting", "until", "set_at", "by", "current"],
            sa.select(
                before.c.subscriber, key, topic, before.c.setting, before.c.until, before.c.set_at,
                sa.literal("an earlier version"), sa.true(),
            ).order_by(before.c.set_at),
        )
    )  # fmt: skip
    op.drop_table("preference_before")
    op.create_table(
        "sign_up",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("address", AutoString(), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("often", AutoString(), nullable=False),
        sa.Column("language", AutoString(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=False),
        sa.Column("confirmed_at", UTCDateTime(), nullable=True),
        sa.Column("mailed_at", UTCDateTime(), nullable=True),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("address"),
    )
    op.add_column("digest_slot", sa.Column("begun", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("digest_slot", "begun")
    op.drop_table("sign_up")
    op.drop_table("preference")
    op.create_table(
        "preference",
        sa.Column("subscriber", AutoString(), nullable=False),
        sa.Column("topic", AutoString(), nullable=False),
        sa.Column("setting", AutoString(), nullable=False),
        sa.Column("set_at", UTCDateTime(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subscriber", "topic"),
    )
