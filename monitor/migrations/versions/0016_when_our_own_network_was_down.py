"""When our own network was down last, so that what is told of it outlives a restart."""

import sqlalchemy as sa
from alembic import op

from monitor.models import UTCDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outage",
        sa.Column("since", UTCDateTime(), primary_key=True),
        sa.Column("over_at", UTCDateTime(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("outage")
