"""What WebSub hubs were asked for."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from monitor.models import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hub_lease",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("feed", AutoString(), nullable=False),
        sa.Column("hub", AutoString(), nullable=False),
        sa.Column("topic", AutoString(), nullable=False),
        sa.Column("callback", AutoString(), nullable=False),
        sa.Column("secret", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("verified_at", UTCDateTime(), nullable=True),
        sa.Column("lease_until", UTCDateTime(), nullable=True),
        sa.Column("pushed_at", UTCDateTime(), nullable=True),
        sa.Column("pinged_at", UTCDateTime(), nullable=True),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("missing_since", UTCDateTime(), nullable=True),
        sa.Column("forged", sa.Integer(), nullable=False),
        sa.Column("error", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_hub_lease_feed", "hub_lease", ["feed"])
    op.create_index("ix_hub_lease_next_at", "hub_lease", ["next_at"])


def downgrade() -> None:
    op.drop_table("hub_lease")
