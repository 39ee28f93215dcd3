"""Networks of ReLU layers -> spiking networks; see `convert`."""
