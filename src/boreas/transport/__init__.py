"""The agent link: messages, framing, identity, and two transports behind one interface."""
