"""SANA-FE network files (YAML): groups of leaky integrate-and-fire neurons, their edges, inputs and mapping."""
