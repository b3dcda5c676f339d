"""DINOv2 (Oquab et al., 2023), with registers (Darcet et al., 2023), and DINOv3 (Siméoni et al.,
2025): vision transformers trained without labels, run by the package `transformers`.

Level k is what the patches are after k quarters of the blocks, brought to one scale by the final
layer norm, as DINOv2's own `get_intermediate_layers` gives it. Weights are named as in the files
that are published at huggingface.co; `transformers` names them differently from version to version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from patchcore_dual.errors import WeightsError
from patchcore_dual.features.networks.definition import (
    CONFIGURATION,
    NetworkDefinition,
    configuration_tensor,
)
from patchcore_dual.utils.dependencies import require

Configuration = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """What networks of one kind have in common.

    Attributes:
        title: for messages.
        model_type: of `config.json`.
        classes: how its classes in `transformers` begin.
        patch: width of a patch in pixels.
        standard: what the configurations of all published sizes have in common.
        published: parts of a tensor's name, as `transformers` has them and as they are published.
    """

    title: str
    model_type: str
    classes: str
    patch: int
    standard: Configuration
    published: Mapping[str, str]

    def published_name(self, name: str) -> str:
        for ours, theirs in self.published.items():
            name = name.replace(ours, theirs)
        return name


_DINOV2_NAMES = {
    ".attention.q_proj.": ".attention.attention.query.",
    ".attention.k_proj.": ".attention.attention.key.",
    ".attention.v_proj.": ".attention.attention.value.",
    ".attention.o_proj.": ".attention.output.dense.",
}
_DINOV2 = Family(
    "DINOv2", "dinov2", "Dinov2", 14, {"patch_size": 14, "image_size": 518}, _DINOV2_NAMES
)
_WITH_REGISTERS = Family(
    "DINOv2 with registers",
    "dinov2_with_registers",
    "Dinov2WithRegisters",
    14,
    {"patch_size": 14, "image_size": 518, "num_register_tokens": 4},
    _DINOV2_NAMES,
)
_DINOV3 = Family(
    "DINOv3",
    "dinov3_vit",
    "DINOv3ViT",
    16,
    {"patch_size": 16, "image_size": 224, "num_register_tokens": 4},
    {"model.layer.": "layer."},
)

_SIZES = {
    "small": {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 4 * 384},
    "base": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 4 * 768},
}


class Dino(nn.Module):
    """A backbone of `transformers` that gives a map for each level; all have the patches' stride.

    Args:
        backbone: gives a feature map for each level from 1 on.
        family: says how its tensors are named in published files.
        configuration: its `config.json`, kept among the tensors; None for a standard one.
    """

    def __init__(
        self, backbone: Any, family: Family, configuration: Configuration | None = None
    ) -> None:
        super().__init__()
        self.backbone, self.family = backbone, family
        levels = range(1, len(backbone.config.out_indices) + 1)
        self.channels = dict.fromkeys(levels, int(backbone.config.hidden_size))
        if configuration is not None:
            self.register_buffer(CONFIGURATION, configuration_tensor(configuration))
        self.register_state_dict_post_hook(_name_as_published)
        self.register_load_state_dict_pre_hook(_name_as_here)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """`[B, 3, H, W]`, normalised, to one map `[B, channels, H/stride, W/stride]` a level."""
        return dict(zip(self.channels, self.backbone(x).feature_maps, strict=True))


def build_dino(
    family: Family, size: str, deepest: int, configuration: Configuration | None = None
) -> Dino:
    """An untrained network up to a level.

    Args:
        size: "small" or "base", the dimensions where there is no configuration.
        configuration: the content of a `config.json`, of any dimensions.

    Raises:
        MissingDependencyError: without `transformers`.
        WeightsError: for a configuration of another network, or one that `transformers` refuses.
    """
    require(f"the backbone {family.title}", "transformers")
    import transformers

    given = configuration
    if given is None:
        given = {"model_type": family.model_type, **family.standard, **_SIZES[size]}
    if given.get("model_type") != family.model_type:
        raise WeightsError(
            f"config.json is not of {family.title}: its model_type is {given.get('model_type')}, "
            f"not {family.model_type}."
        )
    try:
        blocks = given.get("num_hidden_layers", 12)
        quarters = [-(-blocks * level // 4) for level in range(1, deepest + 1)]
        config = getattr(transformers, f"{family.classes}Config").from_dict(
            {k: v for k, v in given.items() if k not in ("out_features", "stage_names")}
            | {"num_hidden_layers": quarters[-1], "out_indices": quarters}
            | {"apply_layernorm": True, "reshape_hidden_states": True}
        )
        with torch.random.fork_rng(devices=[]):  # it must not move the caller's random state
            backbone = getattr(transformers, f"{family.classes}Backbone")(config)
    except Exception as error:  # whatever `transformers` raises for what it cannot build
        raise WeightsError(f"{family.title} cannot be built after config.json ({error}).") from None
    if config.patch_size != family.patch:
        raise WeightsError(
            f"{family.title} has patches of {family.patch} pixels, those of config.json are "
            f"{config.patch_size}."
        )
    return Dino(backbone, family, configuration)


def _name_as_published(network: nn.Module, state: Any, prefix: str, metadata: Any) -> None:
    """After `state_dict`: names as in published files."""
    for published, name in _names(network).items():
        state[prefix + published] = state.pop(prefix + name)


def _name_as_here(network: nn.Module, state: Any, prefix: str, *others: Any) -> None:
    """Before `load_state_dict`: names as the installed `transformers` has them."""
    for published, name in _names(network).items():
        if prefix + published in state:
            state[prefix + name] = state.pop(prefix + published)


def _names(network: Any) -> dict[str, str]:
    """The published name of each tensor, to its name here."""
    names = network.backbone.state_dict()
    return {network.family.published_name(name): f"backbone.{name}" for name in names}


# Which network each name is, and where its weights are published.
_PUBLISHED = {
    "dinov2_small": (_DINOV2, "small", "dinov2-small"),
    "dinov2_base": (_DINOV2, "base", "dinov2-base"),
    "dinov2_small_reg": (_WITH_REGISTERS, "small", "dinov2-with-registers-small"),
    "dinov2_base_reg": (_WITH_REGISTERS, "base", "dinov2-with-registers-base"),
    "dinov3_small": (_DINOV3, "small", "dinov3-vits16-pretrain-lvd1689m"),
    "dinov3_base": (_DINOV3, "base", "dinov3-vitb16-pretrain-lvd1689m"),
}

NETWORKS = {
    name: NetworkDefinition(
        name,
        partial(build_dino, family, size),
        strides=(family.patch,) * 4,
        repository=f"https://huggingface.co/facebook/{repository}",
        names="transformers",
    )
    for name, (family, size, repository) in _PUBLISHED.items()
}
