"""The families of models, one file each; see `bimhw.models.registry`."""
