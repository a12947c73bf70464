"""When a message was first tried and how much of it went; which outages the operators were told of."""

import sqlalchemy as sa
from alembic import op

from monitor.models import UTCDateTime

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.add_column(sa.Column("dated_at", UTCDateTime()))
        batch_op.add_column(sa.Column("parts", sa.Integer(), nullable=False, server_default="0"))
    # What was tried before goes on under the date that it had.
    op.execute("UPDATE delivery SET dated_at = created_at WHERE attempts > 0 OR maybe_dup > 0")
    with op.batch_alter_table("endpoint") as batch_op:
        batch_op.add_column(sa.Column("told_at", UTCDateTime()))
        batch_op.add_column(sa.Column("back_at", UTCDateTime()))


def downgrade() -> None:
    with op.batch_alter_table("endpoint") as batch_op:
        batch_op.drop_column("back_at")
        batch_op.drop_column("told_at")
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.drop_column("parts")
        batch_op.drop_column("dated_at")
