"""Python objects of other frameworks -> float network; see `module`."""
