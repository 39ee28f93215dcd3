"""The chip simulator: chips, programs, neurons, function, timing, learning. See docs/architecture.md."""

from simulator.base.kernel_cache import ensure_kernel_cache as _ensure

_ensure()  # before anything imports numba
