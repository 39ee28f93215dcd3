"""Moves and exchanges of single vertices between parts, which every sweep over lists or synapses decides alike.

A vertex whose best part is full waits there in one of `WAITING` places. One of that part that wants the other way is exchanged
with it, if both together save.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from mapping.refine import fits, take

WAITING = 16  # vertices of a part that wait for an exchange


@nb.njit(cache=True, nogil=True)
def waiting_room(k):  # type: ignore[no-untyped-def]
    """Return the empty room of k parts: who waits, where each wants to go, which place is next."""
    return np.full((k, WAITING), -1, np.int64), np.full((k, WAITING), -1, np.int64), np.zeros(k, np.int64)


@nb.njit(cache=True, nogil=True)
def choose(gain, touched, n, a, need, left, kind, shared, held):  # type: ignore[no-untyped-def]
    """Return, of the n parts touched, the best with room and its gain, then the best of all and its gain; clear the gains."""
    here = gain[a]
    best, most, wish, highest = a, here, a, here
    for i in range(n):
        b = np.int64(touched[i])
        if gain[b] > highest:
            wish, highest = b, gain[b]
        if gain[b] > most and fits(need, left, b, kind, shared, held):
            best, most = b, gain[b]
    for i in range(n):
        gain[touched[i]] = 0.0
    return best, most, wish, highest


@nb.njit(cache=True, nogil=True)
def called(waits, wants, part, a, wish):  # type: ignore[no-untyped-def]
    """Call a vertex of part `wish` that waits for part a out of the room; return it, or -1 where none does."""
    for i in range(WAITING):
        u = waits[wish, i]
        if u >= 0 and wants[wish, i] == a and part[u] == wish:
            waits[wish, i] = -1
            return u
    return -1


@nb.njit(cache=True, nogil=True)
def wait(v, a, wish, waits, wants, turn):  # type: ignore[no-untyped-def]
    """Let vertex v of part a wait for part `wish`, in place of who has waited longest."""
    waits[a, turn[a]], wants[a, turn[a]] = v, wish
    turn[a] = (turn[a] + 1) % WAITING


@nb.njit(cache=True, nogil=True)
def swap(v, a, u, b, need, left, kind, shared, held):  # type: ignore[no-untyped-def]
    """Count vertex v from part a in b, and u from b in a."""
    take(need[v], left, a, b, kind[v], shared, held)
    take(need[u], left, b, a, kind[u], shared, held)
