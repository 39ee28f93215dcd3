"""Machines: cycle-exact models of single open designs, from programmed memories to spikes, states and cycles.

A machine is a chip whose controller decides what the neurons compute (a dropped packet, an overwritten sum, a queue that
overflows), so function and time cannot be computed apart. The arithmetic of its neurons is that of `simulator.neurons`.
docs/rtl.md states what each machine models; docs/decisions tells why they do not run on the event engine.
"""
