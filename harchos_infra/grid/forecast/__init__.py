"""Forecasts of carbon intensity from a zone's own past: forecasters, quantiles, the signal of them."""
