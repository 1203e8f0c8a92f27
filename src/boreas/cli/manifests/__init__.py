"""Projects as YAML files: read with line numbers, compared with the server, applied, exported."""
