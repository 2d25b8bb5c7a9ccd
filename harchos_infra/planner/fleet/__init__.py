"""Many workloads planned together under shared quotas, with a bound on what could be better."""
