"""The pure core: what a deployment does next. No await, no clock, no database, no framework."""
