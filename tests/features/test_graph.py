"""The graph of a network: what it computes, and what cannot be read."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from patchcore_dual.errors import MissingDependencyError, ModelError, SettingsError
from patchcore_dual.features import (
    EmbedderSpec,
    Graph,
    adapted,
    load_embedder,
    on_cpu,
    restore_embedder,
)
from patchcore_dual.features.engines.graph_engine import GraphEmbedder
from patchcore_dual.features.engines.torch_engine import restore_torch_embedder
from patchcore_dual.features.quantisation import check_calibration, quantised
from patchcore_dual.settings import Settings

SIZES = ((64, 96), (71, 45), (33, 97), (7, 5))


def photographs(count, height, width, seed=0):
    """Smooth noise, as photographs are smooth."""
    noise = np.random.default_rng(seed).integers(
        0, 256, (count, -(-height // 8), -(-width // 8), 3)
    )
    return noise.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width].astype(np.uint8)


@pytest.fixture(scope="module")
def embedder():
    return load_embedder("efficientnet_lite0", resolutions=(1, 2), device="cpu")


@pytest.mark.parametrize("pads", [True, False])
@pytest.mark.parametrize("resolutions", [(1,), (1, 2, 4)])
def test_the_graph_computes_what_pytorch_does_at_any_size(embedder, pads, resolutions):
    spec = replace(embedder.spec.with_resolutions(resolutions), pad_to_cells=pads)
    graph = embedder.with_spec(spec)
    network = restore_torch_embedder(spec, embedder.network)
    for size in SIZES:
        images = photographs(2, *size)
        expected = network(images)
        np.testing.assert_allclose(graph(images), expected, atol=2e-5 * np.abs(expected).max())


def test_the_number_of_threads_changes_nothing(embedder, tmp_path):
    """Each in a process of its own, since a graph is compiled for a number of threads."""
    image = photographs(1, 96, 128)
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "structure").write_bytes(embedder.graph.structure)
    (tmp_path / "weights").write_bytes(embedder.graph.weights)
    code = """
import sys, numpy as np
from pathlib import Path
from patchcore_dual.banks.backend import compute
compute.get_backend().thread_count = lambda: int(sys.argv[1])
from patchcore_dual.features.graph import Graph, compiled
folder = Path(sys.argv[2])
graph = Graph((folder / "structure").read_bytes(), (folder / "weights").read_bytes())
image = np.load(folder / "image.npy")
np.save(folder / f"{sys.argv[1]}.npy", compiled(graph)(image)[0])
"""
    for count in (1, 2, 3):
        subprocess.run([sys.executable, "-c", code, str(count), str(tmp_path)], check=True)
    one, two, three = (np.load(tmp_path / f"{count}.npy") for count in (1, 2, 3))
    for other in (two, three, embedder(image)):
        np.testing.assert_allclose(other, one, atol=1e-5 * np.abs(one).max())


def test_the_same_network_gives_the_same_bytes(embedder):
    from patchcore_dual.features.engines import torch_engine

    again = torch_engine.make_graph.__wrapped__(embedder.spec, embedder.network)
    assert again == embedder.graph


def test_a_wrong_graph_is_noticed(embedder, monkeypatch):
    from patchcore_dual.features.engines import torch_engine

    other = embedder.with_spec(replace(embedder.spec, count_padding=False)).graph
    monkeypatch.setattr(torch_engine, "converted", lambda module: other)
    torch_engine.make_graph.cache_clear()
    with pytest.raises(ModelError, match="computes other features than PyTorch"):
        torch_engine.make_graph(embedder.spec, embedder.network)


@pytest.mark.parametrize(
    ("structure", "weights"),
    [
        (lambda s: s[: len(s) // 2], lambda w: w),
        (lambda s: b"", lambda w: w),
        (lambda s: s, lambda w: w[: len(w) // 2]),
        (lambda s: s.replace(b'version="opset', b'version="opset9'), lambda w: w),
    ],
    ids=["half", "empty", "weights", "newer opset"],
)
def test_a_graph_that_cannot_be_read_is_one_clear_error(embedder, structure, weights):
    damaged = Graph(structure(embedder.graph.structure), weights(embedder.graph.weights))
    detector = GraphEmbedder(embedder.spec, damaged, embedder.network)
    with pytest.raises(ModelError, match="cannot read the graph of the network"):
        detector(photographs(1, 64, 96))


def test_nothing_is_reported_to_the_makers_of_openvino():
    code = (
        "from patchcore_dual.features.graph import openvino; openvino(); import nncf, sys;"
        "assert sys.modules['openvino_telemetry'] is None;"
        "assert not [m for m in sys.modules if m.startswith('openvino_telemetry.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_integers_are_close_and_belong_to_the_model(embedder, monkeypatch):
    images = [*photographs(12, 64, 96)]
    in_integers = quantised(embedder, images)
    assert in_integers.spec == replace(embedder.spec, precision="int8")
    features, expected = in_integers(images[0][None]), embedder(images[0][None])
    error = np.linalg.norm(features - expected) / np.linalg.norm(expected)
    assert 1e-4 < error < 0.5
    assert in_integers.graph == quantised(in_integers, images).graph
    monkeypatch.delattr("patchcore_dual.features.engines.device._has_driver")  # it is not asked
    again = restore_embedder(in_integers.spec, in_integers.network, in_integers.graph)
    np.testing.assert_array_equal(again(images[0][None]), features)
    with pytest.raises(SettingsError, match="8-bit integers runs on a CPU only"):
        restore_embedder(in_integers.spec, in_integers.network, in_integers.graph, "cuda")
    with pytest.raises(ModelError, match="8-bit integers is used only in the way"):
        in_integers.with_spec(replace(in_integers.spec, count_padding=False))
    again = adapted(in_integers, Settings(precision="int8", scoring="ratio", resolutions=(1, 2)))
    assert again is in_integers
    other = adapted(in_integers, Settings(precision="int8", resolutions=(1, 2)))
    assert other.spec == replace(embedder.spec, count_padding=False)
    back = in_integers.with_spec(embedder.spec)
    np.testing.assert_array_equal(back(images[0][None]), expected)


def test_too_few_images_for_integers(embedder):
    check_calibration(embedder, 10)
    with pytest.raises(SettingsError, match="at least 10 training images, and there are 9"):
        check_calibration(embedder, 9)


def test_an_embedder_of_the_user_has_no_graph():
    class Own:
        spec = EmbedderSpec("own", (), (3,), stride=8, precision="int8")

        def __call__(self, images):
            return np.zeros((len(images), 2, 2, 3), np.float32)

    own = Own()
    assert on_cpu(own) is own
    assert adapted(own, Settings(scoring="ratio")) is own  # in the integers of its own
    for ask in (lambda: quantised(own, []), lambda: check_calibration(own, 100)):
        with pytest.raises(SettingsError, match="for the networks of this package"):
            ask()


def test_without_pytorch_or_nncf(embedder, monkeypatch):
    def find_spec(name, *rest):
        return None

    monkeypatch.setattr("patchcore_dual.utils.dependencies.find_spec", find_spec)
    monkeypatch.setattr("patchcore_dual.features.engines.find_spec", find_spec)
    monkeypatch.setattr("patchcore_dual.features.engines.device.find_spec", find_spec)
    kept = restore_embedder(embedder.spec, embedder.network, embedder.graph)
    image = photographs(1, 64, 96)
    np.testing.assert_array_equal(kept(image), embedder(image))
    with pytest.raises(ModelError, match=r"of an older version.*patchcore-dual migrate MODEL"):
        restore_embedder(embedder.spec, embedder.network, None)
    with pytest.raises(MissingDependencyError, match=r"device cuda needs torch.*\[train\]"):
        restore_embedder(embedder.spec, embedder.network, embedder.graph, "cuda")
    with pytest.raises(MissingDependencyError, match=r"precision int8 needs nncf.*\[train\]"):
        check_calibration(embedder, 20)
    with pytest.raises(MissingDependencyError, match=r"using a network in another way needs torch"):
        embedder.with_spec(replace(embedder.spec, count_padding=False))
