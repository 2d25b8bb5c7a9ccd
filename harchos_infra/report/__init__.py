"""What a run cost in dollars and gCO2eq, against plan and baselines."""
