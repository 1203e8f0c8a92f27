"""The server's end of the agent links: the door, a session per agent, orders out, news in."""
