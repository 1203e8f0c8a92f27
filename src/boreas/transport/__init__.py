"""The agent link: messages, framing, identity, and two transports (QUIC, TCP + TLS) behind one interface."""
