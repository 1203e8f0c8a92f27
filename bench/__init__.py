"""The figures of docs/performance.md: real code, one JSON line each, ratios within one run."""
