"""The durable life of a run: ledger, reconcile loop, sweep."""
