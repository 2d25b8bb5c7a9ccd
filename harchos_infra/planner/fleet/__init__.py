"""Many workloads planned together under shared quotas: pure functions, with a bound on what could be better."""
