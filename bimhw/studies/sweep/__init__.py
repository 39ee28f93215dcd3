"""Sweeps over any axis of training, compilation, mapping and chip."""
