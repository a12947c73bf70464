"""Servers and addresses that messages go to, and what must be acknowledged."""

import sqlalchemy as sa
from alembic import op

from monitor.models import UTCDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endpoint",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", UTCDateTime()),
        sa.Column("open_until", UTCDateTime()),
        sa.Column("ready_at", UTCDateTime()),
        sa.Column("error", sa.String(), nullable=False),
    )
    op.create_table(
        "recipient",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("subscriber", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("suspended_at", UTCDateTime()),
        sa.Column("error", sa.String(), nullable=False),
    )
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.add_column(sa.Column("lease_owner", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("endpoint", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("recipient", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("incident", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("escalate_at", UTCDateTime()))
        batch_op.drop_index("ix_delivery_due")
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["endpoint", "next_attempt_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_delivery_held",
        "delivery",
        ["recipient"],
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index("ix_delivery_incident", "delivery", ["incident"])
    op.create_table(
        "escalation",
        sa.Column("incident", sa.String(), primary_key=True),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("due_at", UTCDateTime()),
        sa.Column("acknowledged_at", UTCDateTime()),
        sa.Column("acknowledged_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"]),
    )
    op.create_index("ix_escalation_due_at", "escalation", ["due_at"])


def downgrade() -> None:
    for table in ("escalation", "recipient", "endpoint", "lease_owner"):
        op.drop_table(table)
    op.drop_index("ix_delivery_held", "delivery")
    op.drop_index("ix_delivery_due", "delivery")
    with op.batch_alter_table("delivery") as batch_op:
        batch_op.drop_index("ix_delivery_incident")
        for column in ("escalate_at", "incident", "recipient", "endpoint"):
            batch_op.drop_column(column)
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["next_attempt_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
