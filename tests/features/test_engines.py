"""Networks, their weights files, and what comes out of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file
from torch import nn

from patchcore_dual.errors import SettingsError, WeightsError
from patchcore_dual.features import EmbedderSpec, load_embedder
from patchcore_dual.features.aggregation import patch_features
from patchcore_dual.features.engines.torch_engine import TorchEmbedder
from patchcore_dual.features.networks import network_definition
from patchcore_dual.features.networks.definition import CONFIGURATION
from patchcore_dual.features.networks.resnet import build_resnet
from patchcore_dual.features.weights import find_weights, read_state_dict
from patchcore_dual.utils.files import file_sha256

# Parameters without the classifier, from torchvision's documentation.
RESNETS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "wide_resnet50_2": 68_883_240 - 2_049_000,
}
CHANNELS = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
    "wide_resnet50_2": (256, 512, 1024, 2048),
    "efficientnet_lite0": (24, 40, 112, 320),
    "efficientnet_lite1": (24, 40, 112, 320),
    "efficientnet_lite2": (24, 48, 120, 352),
}


def photographs(count=2, height=48, width=40, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def randomised(network, seed=0):
    """The network with random batch-norm statistics and scales, so that folding is no identity."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in (
                (module.running_mean, -0.5),
                (module.running_var, 0.5),
                (module.weight.data, 0.5),
                (module.bias.data, -0.5),
            ):
                tensor.copy_(low + torch.rand(tensor.shape, generator=generator))
    return network.eval()


def resnet_state(name, deepest):
    torch.manual_seed(0)
    return randomised(build_resnet(name, deepest)).state_dict()


def embedder_of(name, levels, state):
    channels = tuple(CHANNELS[name][level - 1] for level in levels)
    spec = EmbedderSpec(name, levels, channels, stride=2 ** (levels[0] + 1))
    return TorchEmbedder(spec, state, "cpu")


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(resnet_state("resnet18", 4), path)
    return path


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_have_torchvisions_parameters(name):
    with torch.device("meta"):
        network = build_resnet(name, 4)
    assert sum(p.numel() for p in network.parameters()) == RESNETS[name]
    keys = set(network.state_dict())
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.num_batches_tracked",
        "layer4.1.bn2.bias",
    } <= keys
    assert ("layer1.0.downsample.0.weight" in keys) == ("50" in name)
    assert ("layer3.5.conv1.weight" in keys) == (name != "resnet18")
    assert tuple(network.channels.values()) == CHANNELS[name]


def test_a_bottleneck_carries_its_stride_in_the_middle():
    with torch.device("meta"):
        block = build_resnet("resnet50", 2).layer2[0]
    strides = [block.conv1.stride, block.conv2.stride, block.conv3.stride]
    assert strides == [(1, 1), (2, 2), (1, 1)]
    assert block.downsample[0].stride == (2, 2)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("resnet18", ".pth"),
        ("resnet18", ".safetensors"),
        ("resnet34", ".safetensors"),
        ("resnet50", ".pth"),
        ("wide_resnet50_2", ".safetensors"),
    ],
)
def test_a_whole_networks_weights_load(tmp_path, name, suffix):
    """As torchvision publishes them: all four layers, a classifier, batch counters or none."""
    torch.manual_seed(0)
    state = build_resnet(name, 4).state_dict() | {"fc.weight": torch.zeros(10, 4)}
    if suffix == ".safetensors":
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    embedder = load_embedder(name, (2, 3), weights=path, device="cpu")
    path.unlink()
    assert embedder.spec.channels == sum(CHANNELS[name][1:3])
    assert not any(key.startswith(("layer4", "fc")) for key in load(embedder.network))
    assert embedder(photographs()).shape == (2, 6, 5, embedder.spec.channels)


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "efficientnet_lite0", "efficientnet_lite2"]
)
def test_features_are_those_of_the_normalised_image(name):
    definition = network_definition(name)
    build, mean, std = definition.build, definition.mean, definition.std
    torch.manual_seed(1)
    network = randomised(build(3))
    images = photographs(height=57, width=70)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    x = (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.inference_mode():
        maps = network.double()(x)
        expected = patch_features([maps[2], maps[3]], maps[2].shape[-2:]).numpy()
    embedder = embedder_of(name, (2, 3), network.float().state_dict())
    assert np.abs(embedder(images) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_one_image_alone_or_in_a_batch(name, resnet18_file):
    weights = resnet18_file if name == "resnet18" else None
    embedder = load_embedder(name, (2, 3), weights=weights, device="cpu")
    images = photographs(5, 64, 56)
    batch = embedder(images)
    alone = np.concatenate([embedder(image[None]) for image in images])
    assert np.abs(batch - alone).max() <= 1e-5 * np.abs(batch).max()
    assert np.array_equal(embedder(images), batch)


@pytest.mark.parametrize("levels", [(2, 3), (1, 2, 3), (2,), (3,), (1, 4), (2, 3, 4)])
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_levels_and_sizes_that_do_not_divide(name, levels, resnet18_file):
    weights = resnet18_file if name == "resnet18" else None
    embedder = load_embedder(name, levels, weights=weights, device="cpu")
    channels = sum(CHANNELS[name][level - 1] for level in levels)
    assert embedder.spec.channels == channels
    for height, width in ((64, 32), (71, 45), (33, 97)):
        stride = 2 ** (levels[0] + 1)
        grid = (-(-height // stride), -(-width // stride))
        assert embedder(photographs(1, height, width)).shape == (1, *grid, channels)


def test_features_at_several_resolutions_are_those_of_the_smaller_images():
    """Each resolution's block is what a network of its own gives for the image made smaller."""
    single = load_embedder("efficientnet_lite0", (2, 3), count_padding=False)
    several = load_embedder(
        "efficientnet_lite0", (2, 3), count_padding=False, resolutions=(1, 2, 4)
    )
    assert (several.spec.stride, several.spec.channels) == (16, 3 * single.spec.channels)
    small = photographs(1, 64, 96)
    image = small.repeat(2, axis=1).repeat(2, axis=2)  # whose half is `small` to the last bit
    features = several(image)
    assert features.shape == (1, 8, 12, several.spec.channels)
    fine, half, quarter = np.split(features, 3, axis=-1)
    np.testing.assert_allclose(half, single(small), rtol=1e-4, atol=1e-4)
    means = single(image).reshape(1, 8, 2, 12, 2, -1).mean(axis=(2, 4))
    level_2 = single.spec.channels_of((2,))
    np.testing.assert_allclose(fine[..., level_2], means[..., level_2], rtol=1e-4, atol=1e-4)
    assert quarter.shape == half.shape
    for height, width in ((64, 32), (71, 45), (33, 97)):
        shape = several(photographs(1, height, width)).shape
        assert shape == (1, -(-height // 16), -(-width // 16), several.spec.channels)


def test_levels_of_the_defect_bank_alone(resnet18_file):
    embedder = load_embedder("resnet18", (2,), defect_levels=(1, 3), weights=resnet18_file)
    assert embedder.spec.channels == 64 + 128 + 256
    features = embedder(photographs(1, 64, 48))
    assert features.shape == (1, 8, 6, 448)  # level 2's grid, whatever the defect bank takes
    for levels in ((2,), (1, 3)):
        channels = embedder.spec.channels_of(levels)
        own = load_embedder("resnet18", levels, weights=resnet18_file)(photographs(1, 64, 48))
        if levels == (2,):
            np.testing.assert_allclose(features[..., channels], own, rtol=1e-5, atol=1e-6)
        assert len(channels) == own.shape[-1]
    assert embedder.spec.channels_of((1, 2, 3)) is None


def test_the_theses_grid():
    with torch.device("meta"):
        maps = build_resnet("resnet50", 3)(torch.zeros(1, 3, 632, 224))
    assert maps[2].shape == (1, 512, 79, 28)
    assert maps[3].shape == (1, 1024, 40, 14)


def test_keys_beyond_the_used_levels_may_be_absent():
    state = resnet_state("resnet18", 2)
    assert embedder_of("resnet18", (1, 2), state).spec.channels == 64 + 128
    with pytest.raises(WeightsError, match=r"do not fit resnet18.*layer3\.0\.conv1\.weight"):
        embedder_of("resnet18", (2, 3), state)


def test_a_missing_or_misshapen_tensor_is_named():
    state = resnet_state("resnet18", 3)
    del state["layer2.1.bn2.running_var"]
    with pytest.raises(WeightsError, match=r"1 tensors are absent.*layer2\.1\.bn2\.running_var"):
        embedder_of("resnet18", (2, 3), state)
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight is \[64, 64, 3, 3\]"):
        embedder_of("resnet50", (1,), resnet_state("resnet50", 1) | resnet_state("resnet18", 1))


def test_a_configuration_among_the_tensors_of_a_network_without_one_is_ignored():
    state = resnet_state("resnet18", 1)
    embedder = embedder_of("resnet18", (1,), {**state, CONFIGURATION: torch.zeros(2)})
    assert set(embedder.state) <= set(state)


def test_the_hash_is_of_the_file(resnet18_file):
    embedder = load_embedder("resnet18", (1,), weights=resnet18_file)
    assert embedder.spec.weights_sha256 == file_sha256(resnet18_file)
    assert (embedder.spec.backbone, embedder.spec.levels) == ("resnet18", (1,))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"\x80\x02garbage", b"PK\x03\x04zip"]
)
def test_a_damaged_file_is_a_weights_error(tmp_path, suffix, content):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_embedder("resnet18", (2, 3), weights=path)


def test_a_truncated_file_is_a_weights_error(tmp_path, resnet18_file):
    whole = tmp_path / "whole.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, whole)
    for source in (whole, resnet18_file):
        path = tmp_path / f"half{source.suffix}"
        path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            read_state_dict(path)


class _Malicious:
    def __reduce__(self):
        return open, ("executed.txt", "w")


def test_pickled_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": _Malicious()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state_dict(tmp_path / "w.pth")
    assert not (tmp_path / "executed.txt").exists()


def test_a_file_that_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(3)], tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="does not hold a plain state dict"):
        read_state_dict(tmp_path / "w.pth")


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(WeightsError) as error:
        find_weights("resnet50", None)
    for hint in ("resnet50-0676ba61.pth", "--weights", str(tmp_path), "efficientnet_lite0"):
        assert hint in str(error.value)
    with pytest.raises(WeightsError, match=r"no weights file .*nowhere\.pth"):
        find_weights("resnet50", tmp_path / "nowhere.pth")
    for place in ("patchcore-dual/resnet50.pth", "torch/hub/checkpoints/resnet34-b627a593.pth"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    assert find_weights("resnet50", None) == tmp_path / "patchcore-dual/resnet50.pth"
    assert find_weights("resnet34", None).name == "resnet34-b627a593.pth"
    given = tmp_path / "own.pth"
    given.touch()
    assert find_weights("resnet50", given) == given


@pytest.mark.parametrize("levels", [(), (3, 2), (2, 2), (0, 1), (5,)])
def test_bad_levels(levels):
    with pytest.raises(SettingsError, match=r"levels .*give increasing numbers of 1 to 4"):
        load_embedder("efficientnet_lite0", levels)


def test_bad_names_and_devices():
    with pytest.raises(
        SettingsError, match=r"no backbone 'vgg'; there are: efficientnet_lite0, eff"
    ):
        load_embedder("vgg")
    with pytest.raises(SettingsError, match="device 'tpu'"):
        load_embedder("efficientnet_lite0", device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no CUDA GPU"):
            load_embedder("efficientnet_lite0", device="cuda")


@pytest.mark.parametrize(("height", "width"), [(50, 40), (48, 41), (33, 95), (7, 5)])
@pytest.mark.parametrize("levels", [(2, 3), (1, 4), (2,)])
def test_images_that_cells_do_not_divide_are_continued_by_their_last_pixels(height, width, levels):
    embedder = embedder_of("resnet18", levels, resnet_state("resnet18", levels[-1]))
    embedder = embedder.with_spec(replace(embedder.spec, pad_to_cells=True))
    (image,) = photographs(1, height, width)
    multiple = 2 ** (levels[-1] + 1)
    rows = np.minimum(np.arange(-(-height // multiple) * multiple), height - 1)
    columns = np.minimum(np.arange(-(-width // multiple) * multiple), width - 1)
    by_hand = embedder(image[rows][:, columns][None])
    features, stride = embedder(image[None]), embedder.spec.stride
    assert features.shape[1:3] == (-(-height // stride), -(-width // stride))
    np.testing.assert_array_equal(features, by_hand[:, : features.shape[1], : features.shape[2]])


def test_sizes_that_cells_divide_give_the_same_features_with_and_without_padding():
    embedder = embedder_of("resnet18", (2, 3), resnet_state("resnet18", 3))
    padding = embedder_of("resnet18", (2, 3), resnet_state("resnet18", 3))
    padding.spec = replace(padding.spec, pad_to_cells=True)
    for images in (photographs(2, 64, 96), photographs(1, 48, 80)):
        np.testing.assert_array_equal(padding(images), embedder(images))
