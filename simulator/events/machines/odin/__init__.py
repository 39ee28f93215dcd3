"""ODIN: one crossbar of 256 neurons, updated event by event, with its queue, its learning and its output handshake."""
