"""Doubles and builders for tests; nothing that ships imports this package."""
