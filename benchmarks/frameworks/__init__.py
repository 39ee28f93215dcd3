"""Networks of other frameworks, exported to NIR with the framework's own output (run in a Python that has those frameworks)."""
