"""WHAT happens: a program run step by step over arrays; spikes, states and activity, independent of any timing."""

from simulator.function.run import FunctionRun, SampleRuns, run, run_samples
from simulator.function.simulation import Simulation

__all__ = ["FunctionRun", "SampleRuns", "Simulation", "run", "run_samples"]
