"""The full-text index of the archive, filled with the stories that are there; and what pages count by."""

from alembic import op

from monitor.store import fulltext

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    fulltext.make(op.get_bind())


def downgrade() -> None:
    fulltext.drop(op.get_bind())
