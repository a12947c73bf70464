"""What polling remembers of a feed."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from monitor.models import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS: tuple[sa.Column[Any], ...] = (sa.Column("whole_due_at", UTCDateTime(), nullable=True),)


def upgrade() -> None:
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        for column in COLUMNS:
            batch_op.add_column(column)


def downgrade() -> None:
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        for column in COLUMNS:
            batch_op.drop_column(column.name)
