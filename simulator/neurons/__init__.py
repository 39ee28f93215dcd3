"""The built-in neuron models; importing this package registers them all. Adding one is adding one file here.

A model outside this folder is registered by calling `simulator.neurons.base.register` in the user's own file.
"""

import importlib as _importlib
import pkgutil as _pkgutil

for _module in _pkgutil.iter_modules(__path__):
    _importlib.import_module(f"{__name__}.{_module.name}")
