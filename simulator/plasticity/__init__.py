"""On-chip learning: traces, STDP, eligibility (RTRL) in four forms, third factor, optimisers, rounding, pruning."""
