"""Traces of a run as records: arrays (.npz), Chrome/Perfetto JSON, VCD, NIRData."""

from simulator.timing.trace.chrome import chrome_events, write_chrome
from simulator.timing.trace.nirdata import nir_data
from simulator.timing.trace.records import Trace, read_trace, trace_of, write_trace
from simulator.timing.trace.vcd import write_vcd

__all__ = [
    "Trace", "chrome_events", "nir_data", "read_trace", "trace_of", "write_chrome", "write_trace", "write_vcd",
]  # fmt: skip
