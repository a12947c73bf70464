"""An index of the stories that came close to a topic, which its page counts."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    near = sa.text("NOT matched")
    op.create_index("ix_verdict_near", "verdict", ["topic", "decided_at"], sqlite_where=near, postgresql_where=near)


def downgrade() -> None:
    op.drop_index("ix_verdict_near", "verdict")
