"""The reports of a folder of runs, and its sweeps as they run, as pages on this machine."""
