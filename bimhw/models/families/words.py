"""Word models: a BIM network between an embedding and an adaptive softmax, which the host keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bimhw.models.registry import Arrays, ModelFamily, by_shapes, later, load_arrays_into, register
from bimhw.models.words.config import CORE, FAMILY, WordsConfig, mask_shapes, parameter_shapes

if TYPE_CHECKING:
    from bimhw.models.words.net import WordNet
    from mapping.network import Network


_build = later("bimhw.models.words.net:WordNet")


def _core(arrays: Arrays) -> Arrays:
    return {name.removeprefix(CORE): value for name, value in arrays.items() if name.startswith(CORE)}


def _network(config: WordsConfig, arrays: Arrays) -> Network:
    """Return the chip's part: the rows of the embedding come in as graded payloads, the readout's outputs go to the host."""
    network: Network = later("bimhw.frontends.bim:bim_network")(config.core, _core(arrays))
    return network


def _load(config: WordsConfig, arrays: Arrays) -> WordNet:
    import torch

    net: WordNet = _build(config, 0, None)
    for name, value in arrays.items():
        if ".mask_" in name:
            net.core.add_mask(name.removeprefix(CORE), torch.from_numpy(value.copy()))
    load_arrays_into(net, arrays)
    return net


register(
    ModelFamily(
        FAMILY, "word models", WordsConfig, _network, _build, by_shapes(parameter_shapes, mask_shapes), _load
    )
)  # fmt: skip
