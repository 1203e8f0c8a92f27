"""The loop that carries the engine's decisions out: claim, load, decide, save, send."""
