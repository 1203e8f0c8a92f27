"""The deterministic simulator: whole lives of deployments against the real engine and round.

`python -m boreas.testing.simulate --seeds N`. Everything random comes from one
`random.Random(seed)`, time is a value, ids are counters: a seed that fails, fails again in exactly
the same step.
docs/simulator.md says what is real here, what is fake, and what it has been shown to find.
"""
