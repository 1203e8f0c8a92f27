"""Log lines: the bytes that carry them, the files that keep them, and how they are read.

`chunks` is shared with the agent; `store` is the server's door to everything else here.
"""
