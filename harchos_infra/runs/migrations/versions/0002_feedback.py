"""What a run gives back to the next plan: its hub's figures, its forecasts' errors, when it was planned."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, empty for runs of before, and the table."""
    op.add_column("run", sa.Column("work", sa.String))
    op.add_column("run", sa.Column("planned_at", sa.Float))
    op.add_column("hub", sa.Column("job_started_at", sa.Float))
    op.add_column("hub", sa.Column("job_finished_at", sa.Float))
    op.add_column("hub", sa.Column("metered_s", sa.Float))
    op.add_column("hub", sa.Column("measured_s", sa.Float))
    op.add_column("hub", sa.Column("measured_joules", sa.Float))
    op.add_column("hub", sa.Column("gpu_measured_s", sa.Float))
    op.add_column("hub", sa.Column("gpu_measured_joules", sa.Float))
    op.add_column("hub", sa.Column("meters", sa.String))
    op.add_column("measurement", sa.Column("gpu_joules", sa.Float))
    op.create_table(
        "forecast_error",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, sa.ForeignKey("run.id"), nullable=False, index=True),
        sa.Column("zone", sa.String, nullable=False),
        sa.Column("signal", sa.String, nullable=False),
        sa.Column("basis", sa.String, nullable=False),
        sa.Column("issued_at", sa.Float, nullable=False),
        sa.Column("lead_h", sa.Float, nullable=False),
        sa.Column("hours", sa.Integer, nullable=False),
        sa.Column("mape", sa.Float),
        sa.Column("bias_gco2_per_kwh", sa.Float),
        sa.Column("same_figure", sa.Boolean, nullable=False),
        sa.UniqueConstraint("run", "zone", name="forecast_error_once"),
    )
