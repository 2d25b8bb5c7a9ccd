"""A run under faults: its job, its machine, what goes wrong, and what must be true afterwards."""
