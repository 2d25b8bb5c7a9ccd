"""Forecasts of carbon intensity from a zone's own past: forecasters, their quantiles, and the signal of them."""
