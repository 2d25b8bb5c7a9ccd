"""HarchOS: plan GPU workloads by carbon and price, run them on short-lived hubs, report what they cost."""

__version__ = "0.1.0"
