"""The pre-trained networks by name. Nothing here imports PyTorch before a network is asked for.

To add one: a file with a network whose `forward` gives a map for each level, an entry in its
`NETWORKS`, and a line in `BACKBONES`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from patchcore_dual.errors import SettingsError

if TYPE_CHECKING:
    from patchcore_dual.features.networks.definition import NetworkDefinition

# The file that defines each network.
BACKBONES = {
    "efficientnet_lite0": "efficientnet",
    "efficientnet_lite1": "efficientnet",
    "efficientnet_lite2": "efficientnet",
    "resnet18": "resnet",
    "resnet34": "resnet",
    "resnet50": "resnet",
    "wide_resnet50_2": "resnet",
    "dinov2_small": "dino",
    "dinov2_base": "dino",
    "dinov2_small_reg": "dino",
    "dinov2_base_reg": "dino",
    "dinov3_small": "dino",
    "dinov3_base": "dino",
}


def network_definition(name: str) -> "NetworkDefinition":
    """How the network of that name is built and normalised, and where its weights lie.

    Raises:
        SettingsError: for a name that does not exist.
    """
    if name not in BACKBONES:
        raise SettingsError(f"no backbone {name!r}; there are: {', '.join(BACKBONES)}.")
    module = import_module(f"{__name__}.{BACKBONES[name]}")
    definition: NetworkDefinition = module.NETWORKS[name]
    return definition
