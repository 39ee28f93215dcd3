"""Parts of a population: runs of neurons on one core, which that core works on by itself.

All arrays of learning have the target neuron as their last axis, and no kernel looks at a neighbour, so a core's share is a
range of columns. What comes out is the same for any cut (and so for any mapping); counts are each core's own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from simulator.base.arrays import I32, Array


@dataclass(frozen=True)
class Part:
    """Neurons lo..hi-1 of a population, all on one core.

    Attributes:
        core: where they live (`HOST` for the host).
        lo, hi: local numbers.
        whole: they are the whole population.
    """

    core: int
    lo: int
    hi: int
    whole: bool

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.hi - self.lo

    @property
    def columns(self) -> slice:
        """The neurons' place on the last axis."""
        return slice(self.lo, self.hi)

    def take(self, a: Array) -> Array:
        """Return the columns of an array in one piece of memory, as kernels want them; the array itself if they are all of it."""
        return a if self.whole else np.ascontiguousarray(a[..., self.columns])

    def give(self, a: Array, mine: Array) -> None:
        """Write back what `take` gave."""
        if not self.whole:
            a[..., self.columns] = mine


def parts_of(core: I32) -> tuple[Part, ...]:
    """Return runs of neurons of one core, from the core of each neuron of a population."""
    cuts = np.flatnonzero(np.diff(core)) + 1
    bounds = [0, *cuts.tolist(), core.size]
    whole = len(bounds) == 2
    return tuple(Part(int(core[lo]), lo, hi, whole) for lo, hi in itertools.pairwise(bounds))
