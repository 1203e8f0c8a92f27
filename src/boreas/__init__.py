"""Boreas: lightweight, self-hosted continuous deployment. docs/architecture.md is the map."""

__version__ = "0.1.0"
