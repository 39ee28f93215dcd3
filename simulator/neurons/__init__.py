"""The built-in neuron models; importing this package registers them all. Adding one is adding one file here.

A model outside this folder is registered by calling `simulator.neurons.base.register` in the user's own file.
"""

from simulator.base.found import import_all as _import_all

_import_all(__name__)
