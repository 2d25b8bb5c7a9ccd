"""Live sources of carbon intensity, and what they share: calls, cache, hours, the live signal, fallback."""
