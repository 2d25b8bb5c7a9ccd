"""What runs under faults do on their hubs, as `python3 -m job.NAME`: the standard library only."""
