"""lava-dl's network exchange files (.net, HDF5): layers of Loihi neurons with integer weights."""
