"""DINO networks of tiny dimensions, with random weights, against `transformers`' own output."""

import json
import sys
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load, load_file, save_file

from patchcore_dual import PatchCoreDual
from patchcore_dual.errors import MissingDependencyError, WeightsError
from patchcore_dual.features import load_embedder, restore_embedder
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.weights import find_weights, read_state_dict
from patchcore_dual.utils import dependencies

TINY = {"hidden_size": 32, "num_hidden_layers": 8, "num_attention_heads": 2}
# The classes in `transformers`, and what is peculiar to their configuration.
FAMILIES = {
    "dinov2_small": ("Dinov2", {"mlp_ratio": 2, "image_size": 70}),
    "dinov2_base_reg": (
        "Dinov2WithRegisters",
        {"mlp_ratio": 2, "image_size": 70, "patch_size": 14},
    ),
    "dinov3_small": ("DINOv3ViT", {"intermediate_size": 64, "num_register_tokens": 4}),
}


@dataclass(frozen=True)
class Saved:
    """A whole model of `transformers`, and the folder it was saved to."""

    name: str
    folder: str
    model: torch.nn.Module

    @property
    def stride(self):
        return self.model.config.patch_size

    def maps(self, pixels, level):
        """The patches after `level` quarters of the blocks and the final layer norm."""
        with torch.inference_mode():
            states = self.model(pixels, output_hidden_states=True).hidden_states
            norm = getattr(self.model, "layernorm", None) or self.model.norm
            tokens = norm(states[2 * level])
        rows, columns = (side // self.stride for side in pixels.shape[-2:])
        return tokens[:, -rows * columns :].mT.unflatten(-1, (rows, columns))


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request, tmp_path_factory):
    classes, own = FAMILIES[request.param]
    config = getattr(transformers, f"{classes}Config")(**TINY, **own)
    torch.manual_seed(0)
    model = getattr(transformers, f"{classes}Model")(config).eval()
    for tensor in model.parameters():  # as they are made, positions and registers hardly count
        torch.nn.init.normal_(tensor, std=0.3)
    folder = tmp_path_factory.mktemp(request.param) / "weights"
    model.save_pretrained(folder)
    return Saved(request.param, folder, model)


def photographs(count=1, height=70, width=98, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def normalised(images):
    definition = network_definition("dinov2_small")
    x = torch.tensor(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (definition.mean, definition.std))
    return (x - mean) / std


def tiny(saved, deepest):
    """The network alone, with the saved weights."""
    state = read_state_dict(saved.folder)
    network = network_definition(saved.name).build_for(state, deepest)
    missing, _ = network.load_state_dict(state, strict=False)
    assert not missing
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("cells", [(5, 5), (3, 8)])
def test_levels_are_quarters_of_the_whole_network(saved, cells):
    pixels = torch.randn(2, 3, cells[0] * saved.stride, cells[1] * saved.stride)
    network = tiny(saved, 4)
    maps = network(pixels)
    assert network.channels == dict.fromkeys((1, 2, 3, 4), 32)
    for level in (1, 2, 3, 4):
        expected = saved.maps(pixels, level)
        assert maps[level].shape == (2, 32, *cells)
        torch.testing.assert_close(maps[level], expected, rtol=1e-4, atol=1e-4)
    assert tiny(saved, 1)(pixels)[1].equal(maps[1])


def test_a_traced_network_follows_the_size_of_the_image(saved):
    class Maps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = tiny(saved, 3)

        def forward(self, x):
            return tuple(self.network(x).values())

    stride = saved.stride
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Maps(), torch.randn(1, 3, 4 * stride, 4 * stride))
    for rows, columns in ((4, 4), (3, 7), (9, 2)):
        pixels = torch.randn(2, 3, rows * stride, columns * stride)
        for given, expected in zip(traced(pixels), Maps()(pixels), strict=True):
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(70, 98), (75, 101), (33, 20)])
def test_features_of_sizes_that_patches_do_not_divide(saved, height, width):
    """The image is continued by its last pixels, and each cell is the mean of 3x3 patches."""
    embedder = load_embedder(saved.name, (2, 3), weights=saved.folder, count_padding=False)
    stride = saved.stride
    assert (embedder.spec.stride, embedder.spec.channels) == (stride, 64)
    rows, columns = -(-height // stride), -(-width // stride)
    (image,) = photographs(1, height, width)
    continued = np.pad(
        image,
        ((0, rows * stride - height), (0, columns * stride - width), (0, 0)),
        mode="edge",
    )
    maps = [saved.maps(normalised(continued[None]), level) for level in (2, 3)]
    expected = torch.nn.functional.avg_pool2d(
        torch.cat(maps, dim=1), 3, stride=1, padding=1, count_include_pad=False
    )
    features = embedder(image[None])
    assert features.shape == (1, rows, columns, 64)
    np.testing.assert_allclose(features, expected.permute(0, 2, 3, 1).numpy(), rtol=1e-3, atol=1e-4)


def test_several_resolutions(saved):
    several = load_embedder(
        saved.name, (2,), weights=saved.folder, resolutions=(1, 2, 4), count_padding=False
    )
    single = load_embedder(saved.name, (2,), weights=saved.folder, count_padding=False)
    stride = 2 * saved.stride
    assert (several.spec.stride, several.spec.channels) == (stride, 3 * 32)
    small = photographs(1, 2 * stride, 3 * stride)
    image = small.repeat(2, axis=1).repeat(2, axis=2)  # whose half is `small` to the last bit
    fine, half, _ = np.split(several(image), 3, axis=-1)
    np.testing.assert_allclose(half, single(small), rtol=1e-3, atol=1e-4)
    means = single(image).reshape(1, 4, 2, 6, 2, -1).mean(axis=(2, 4))
    np.testing.assert_allclose(fine, means, rtol=1e-3, atol=1e-4)
    assert several(photographs(1, 71, 45)).shape == (1, -(-71 // stride), -(-45 // stride), 96)


def test_one_image_alone_or_in_a_batch(saved):
    embedder = load_embedder(saved.name, (2, 3), weights=saved.folder)
    images = photographs(3, 75, 60)
    batch = embedder(images)
    alone = np.concatenate([embedder(image[None]) for image in images])
    assert np.abs(batch - alone).max() <= 1e-5 * np.abs(batch).max()


def test_a_model_holds_its_tensors_by_their_published_names_and_its_configuration(saved):
    embedder = load_embedder(saved.name, (1, 2), weights=saved.folder)
    published = load_file(saved.folder / "model.safetensors")
    state = load(embedder.network)
    assert set(state) - {"configuration"} <= set(published)
    layers = [key for key in state if "layer.4." in key]
    assert not layers, "blocks beyond the deepest level are not needed"
    restored = restore_embedder(embedder.spec, embedder.network)
    assert np.array_equal(restored(photographs()), embedder(photographs()))


def test_the_network_is_never_used(saved, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    load_embedder(saved.name, weights=saved.folder)(photographs())


def test_building_leaves_the_random_state_alone(saved):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_embedder(saved.name, (1,), weights=saved.folder)
    assert torch.rand(1) == expected


def test_fitting_and_loading(saved, prepared, tmp_path, monkeypatch):
    detector = PatchCoreDual(backbone=saved.name, weights=saved.folder).fit(prepared)
    detector.save(tmp_path / "model")
    image = photographs(1, 96, 64)[0]
    monkeypatch.setitem(sys.modules, "transformers", None)
    loaded = PatchCoreDual.load(tmp_path / "model", device="cpu")
    assert loaded.inspect(image).score == pytest.approx(detector.inspect(image).score, rel=1e-5)
    assert loaded.model.spec.stride == 2 * saved.stride
    assert detector.inspect(image).anomaly_map.shape == (96, 64)


@pytest.mark.parametrize("name", ["dinov2_small", "dinov3_small"])
def test_a_file_alone_has_the_dimensions_of_its_name(name, tmp_path):
    network = network_definition(name).build(1)
    assert network.channels == {1: 384}
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file)
    embedder = load_embedder(name, (1,), weights=file)
    assert embedder.spec.channels == 384
    assert embedder(photographs()).shape[-1] == 384
    with pytest.raises(WeightsError, match=r"do not fit dinov\d_small: .*of transformers"):
        load_embedder(name, (2,), weights=file)


def test_folders_are_found_in_the_cache_and_their_content_decides(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(WeightsError) as error:
        find_weights(saved.name, None)
    for hint in ("huggingface.co/facebook/dinov", "config.json", "--weights FOLDER", str(tmp_path)):
        assert hint in str(error.value)
    (tmp_path / "patchcore-dual").mkdir()
    copy = tmp_path / "patchcore-dual" / saved.name
    saved.model.save_pretrained(copy)
    embedder = load_embedder(saved.name, (1,))
    given = load_embedder(saved.name, (1,), weights=saved.folder)
    assert embedder.spec == given.spec
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}))
    assert replace(load_embedder(saved.name, (1,)).spec, weights_sha256="") == replace(
        given.spec, weights_sha256=""
    )
    assert load_embedder(saved.name, (1,)).spec != given.spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "vit"}, r"not of DINOv\d.*model_type is vit"),
        ({"patch_size": 8}, r"patches of 1\d pixels, those of config.json are 8"),
        ({"hidden_act": "unheard of"}, "cannot be built after config.json"),
        ({"hidden_size": "large"}, "cannot be built after config.json"),
        ({"num_hidden_layers": 2}, "cannot be built after config.json"),
        ({"hidden_size": 48}, r"do not fit dinov.*is \["),
        (None, r"config\.json cannot be read as a configuration"),
    ],
)
def test_a_configuration_that_cannot_be_used(saved, tmp_path, change, message):
    saved.model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    text = "[]" if change is None else json.dumps(config | change)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=message):
        load_embedder(saved.name, (2, 3), weights=tmp_path)


def test_a_folder_is_no_weights_of_other_networks(saved):
    with pytest.raises(WeightsError, match="no weights file"):
        load_embedder("resnet18", weights=saved.folder)


def test_without_transformers(monkeypatch, saved):
    monkeypatch.setattr(
        dependencies, "find_spec", lambda module: None if module == "transformers" else module
    )
    with pytest.raises(MissingDependencyError, match=r"patchcore-dual\[transformers\]"):
        load_embedder(saved.name, weights=saved.folder)
