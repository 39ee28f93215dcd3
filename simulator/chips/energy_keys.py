"""Keys of the energy section of a chip file."""

from __future__ import annotations

# What an energy section may hold, with the unit of each. pJ are per event, mW are drawn all the time.
ENERGY_UNITS: dict[str, str] = {
    "synaptic_event": "pJ",  # one synapse met by one spike; of the sparse format where formats differ
    "synaptic_event_dense": "pJ",
    "synaptic_event_conv": "pJ",
    "synaptic_memory_read": "pJ",  # the stored weight that a synaptic event reads, where synaptic_event leaves it out
    "dendrite_update": "pJ",  # of a dendrite, by synaptic event
    "neuron_update_active": "pJ",  # an update with input or a spike
    "neuron_update_inactive": "pJ",
    "soma_access": "pJ",  # the same in two parts, each paid by every update (the second not by one at rest, where that is free)
    "soma_update": "pJ",
    "spike": "pJ",
    "packet_out": "pJ",
    "packet_in": "pJ",
    "packet_in_own": "pJ",  # in place of packet_in, where the core keeps the packet's synapses itself (``one_to_one_words``)
    "packet_in_tile": "pJ",
    "hop_east_west": "pJ",
    "hop_north_south": "pJ",
    "hop_west": "pJ",  # of the hops east-west those to the west, where hop_east_west is for those to the east
    "hop_south": "pJ",
    "hop_chip": "pJ",  # a packet over a link from chip to chip
    "hop_board": "pJ",  # a packet over a link from board to board
    "host_packet": "pJ",
    "random_number": "pJ",
    "state_reset": "pJ",  # a state word
    "barrier": "pJ",  # a step of the whole chip
    "sync_token_hop": "pJ",  # a token between neighbours over one link, where neighbours synchronise
    "step": "pJ",  # anything else that a step of the whole chip costs
    "static_chip": "mW",
    "static_core": "mW",  # a core in use
    "host_processor": "mW",
    "board": "mW",  # board, host and supply around one chip; in no sum, for comparisons at the system's border
    "op_mul": "pJ",
    "op_add": "pJ",
    "op_lut": "pJ",
    "op_state_read": "pJ",
    "op_state_write": "pJ",
    "learn_weight_update": "pJ",
}
