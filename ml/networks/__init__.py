"""Registry of the networks, by name. A network is imported only when it is asked for.

To add one: write one file in this folder whose `NETWORK` follows `ml.networks.base.Network`
(a Keras one subclasses `ml.networks.keras_network.KerasNetwork` and writes `build`), add its
line here, and a test.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ml.errors import ParameterError

if TYPE_CHECKING:
    from ml.networks.base import Network

REGISTRY: dict[str, str] = {
    "depthwise": "ml.networks.depthwise:NETWORK",
    "gmm": "ml.networks.gmm:NETWORK",
    "knn": "ml.networks.knn:NETWORK",
    "parallel-cnn": "ml.networks.parallel_cnn:NETWORK",
    "pooled": "ml.networks.pooled:NETWORK",
    "pooled-numpy": "ml.networks.pooled_numpy:NETWORK",
    "recurrent": "ml.networks.recurrent:NETWORK",
    "seed-cnn": "ml.networks.seed_cnn:NETWORK",
}

DEFAULT_NETWORK = "pooled"


def names() -> list[str]:
    """Return the names of all networks.

    Returns
    -------
    list of str : the default first, the others sorted.

    Examples
    --------
    >>> names()[:3]
    ['pooled', 'depthwise', 'gmm']
    """
    return sorted(REGISTRY, key=lambda name: (name != DEFAULT_NETWORK, name))


def load_network(name: str) -> Network:
    """Import and return the network registered as `name`.

    Parameters
    ----------
    name : a key of `REGISTRY`.

    Returns
    -------
    Network : the one instance of the process.

    Raises
    ------
    ParameterError : no network has that name; the message lists the known names.
    """
    if name not in REGISTRY:
        raise ParameterError(f"there is no network {name!r}; known: {', '.join(names())}")
    module, _, attribute = REGISTRY[name].partition(":")
    network: Network = getattr(importlib.import_module(module), attribute)
    return network


def feature_config_for(name: str, own: str) -> str:
    """Return the feature configuration that a network reads.

    Parameters
    ----------
    name : of the network. own : the library's configuration, for networks that read any.

    Returns
    -------
    str : a key of `ml.types.FEATURE_CONFIGS`.

    Raises
    ------
    ParameterError : no network has that name.
    """
    return load_network(name).features or own
