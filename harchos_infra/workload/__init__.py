"""The workload document: models, strict loader, JSON Schema."""
