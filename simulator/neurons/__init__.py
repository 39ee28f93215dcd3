"""The built-in neuron models; importing this package registers them. Adding one is adding one file."""
