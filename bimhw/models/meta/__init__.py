"""Networks of meta-neurons: the constants of a neuron learn beside its weights, and spikes may be lost on their way."""
