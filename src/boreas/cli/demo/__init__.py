"""`boreas demo`: a small world on this machine, three deployments, and nothing left behind."""
