"""The command line: speaks HTTP to a server, draws, and leaves with an exit code for scripts."""
