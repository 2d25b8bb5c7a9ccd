"""The report's figures: intensity with the run on it, power, cost and carbon as bars, the Pareto front."""
