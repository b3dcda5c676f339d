"""EfficientNet-Lite with packaged ImageNet weights, on photographs everybody has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn import datasets

from patchcore_dual.errors import MissingDependencyError
from patchcore_dual.features import load_embedder
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.networks.efficientnet import (
    build_efficientnet_lite,
    packaged_weights,
)
from patchcore_dual.features.weights import read_state_dict
from patchcore_dual.utils import dependencies

SKLEARN = Path(datasets.__file__).parent / "images"
DAISY, PALACE, BELL_COTE, UNIFORM = 985, 698, 442, 652


# The block that each level ends with.
LAST_BLOCKS = {
    "efficientnet_lite0": (2, 4, 10, 15),
    "efficientnet_lite1": (3, 6, 14, 20),
    "efficientnet_lite2": (3, 6, 14, 20),
}


@pytest.fixture(scope="module", params=LAST_BLOCKS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def whole_network(name):
    """The package's own network, with its classifier, its padding following the image's size."""
    network = EfficientNet.from_name(name.replace("_", "-"), image_size=None)
    network.load_state_dict(read_state_dict(packaged_weights(name)))
    return network.eval().requires_grad_(False)


def grace_hopper():
    from matplotlib.cbook import get_sample_data

    return get_sample_data("grace_hopper.jpg", asfileobj=False)


def normalised(images):
    x = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
    lite = network_definition("efficientnet_lite0")
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (lite.mean, lite.std))
    return (x - mean) / std


def top(network, path, count):
    """The `count` likeliest classes of the middle square of a photograph."""
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, upper = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, upper, left + side, upper + side)).resize((224, 224))
    return network(normalised(np.asarray(image)[None]))[0].topk(count).indices.tolist()


def test_our_preprocessing_is_the_one_it_was_trained_with(name, whole_network):
    if name != "efficientnet_lite2":  # which takes the flower for a honeycomb
        assert top(whole_network, SKLEARN / "flower.jpg", 1) == [DAISY]
    assert {PALACE, BELL_COTE} & set(top(whole_network, SKLEARN / "china.jpg", 3))
    assert UNIFORM in top(whole_network, grace_hopper(), 2)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (632, 224), (75, 101)])
def test_levels_are_block_outputs_of_the_whole_network(name, whole_network, height, width):
    images = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    outputs = {}
    hooks = [
        whole_network._blocks[block].register_forward_hook(
            lambda module, inputs, output, level=level: outputs.__setitem__(level, output)
        )
        for level, block in enumerate(LAST_BLOCKS[name], start=1)
    ]
    whole_network.extract_features(normalised(images))
    for hook in hooks:
        hook.remove()

    truncated = build_efficientnet_lite(name, 4)
    missing, _ = truncated.load_state_dict(read_state_dict(packaged_weights(name)), strict=False)
    assert not missing
    maps = truncated.eval()(normalised(images))
    for level in (1, 2, 3, 4):
        stride = 2 ** (level + 1)
        assert maps[level].shape[1] == truncated.channels[level]
        assert maps[level].shape[-2:] == (-(-height // stride), -(-width // stride))
        torch.testing.assert_close(maps[level], outputs[level], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", [2, 3])
def test_the_map_stays_in_place_at_632(level):
    """A dot in the image answers in the cell it lies in, from top to bottom."""
    backbone = load_embedder("efficientnet_lite0", (level,), device="cpu")
    plain = np.full((632, 224, 3), 127, np.uint8)
    calm = backbone(plain[None])[0]
    stride = 2 ** (level + 1)
    for y, x in ((60, 40), (316, 112), (500, 180), (580, 60)):
        dotted = plain.copy()
        dotted[y - 3 : y + 4, x - 3 : x + 4] = 255
        answer = ((backbone(dotted[None])[0] - calm) ** 2).sum(axis=-1)
        rows, columns = np.indices(answer.shape)
        centre = (rows * answer).sum() / answer.sum(), (columns * answer).sum() / answer.sum()
        # In the coordinates of cells, whose centres lie at (row + 1/2) · stride.
        assert centre == pytest.approx((y / stride - 0.5, x / stride - 0.5), abs=0.75)


def test_building_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build_efficientnet_lite("efficientnet_lite0", 2)
    assert torch.rand(1) == expected


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(
        dependencies, "find_spec", lambda module: None if "lite2" in module else module
    )
    with pytest.raises(MissingDependencyError, match=r"efficientnet_lite2 needs .*\[train\]"):
        load_embedder("efficientnet_lite2")
