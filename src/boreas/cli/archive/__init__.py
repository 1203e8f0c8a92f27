"""A server's data directory as one file, and back."""
