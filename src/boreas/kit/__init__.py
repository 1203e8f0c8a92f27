"""The lowest layer: clock, ids, task groups, waiting. It knows nothing of deployments."""
