"""How long a feed's document took to be read, and whether its first one was saved as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reading", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("baseline_open", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("feed_state", schema=None) as batch_op:
        batch_op.drop_column("baseline_open")
        batch_op.drop_column("reading")
