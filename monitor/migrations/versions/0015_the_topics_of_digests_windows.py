"""Which topics a digest's window was for, so that the audit finds a weekly one that is missing."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of a window of before that is not known: it may be of any.
    with op.batch_alter_table("digest_window") as batch_op:
        batch_op.add_column(sa.Column("topics", sa.JSON()))


def downgrade() -> None:
    with op.batch_alter_table("digest_window") as batch_op:
        batch_op.drop_column("topics")
