import importlib.util
import json
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from patchcore_dual.errors import MissingDependencyError, SettingsError, WeightsError
from patchcore_dual.synthesis.diag.pipeline import (
    explained_memory,
    import_pipeline_class,
    load_pipeline,
)
from synthesis.tiny_sdxl import make_tiny_sdxl


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_tiny_sdxl(tmp_path_factory.mktemp("pipelines") / "tiny-sdxl")


@pytest.fixture
def folder(original, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(original, tmp_path / "tiny-sdxl")


@pytest.fixture
def no_network(monkeypatch):
    """Every attempt to reach a network fails, and is counted."""
    attempts: list[object] = []

    def refuse(*args: object, **options: object) -> None:
        attempts.append(args)
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


def test_a_local_folder_is_loaded_without_a_network(original, no_network) -> None:
    for source in (str(original), original):
        pipeline = load_pipeline(source, device="cpu")
        assert type(pipeline).__name__ == "StableDiffusionXLInpaintPipeline"
        assert pipeline.unet.config.in_channels == 9
        assert pipeline.vae_scale_factor == 8
        assert pipeline.dtype == torch.float32
        assert pipeline.device.type == "cpu"
        assert pipeline.watermark is None
        assert pipeline.name_or_path == "tiny-sdxl"
    assert no_network == []


def test_diffusers_prints_nothing(original, capfd) -> None:
    pipeline = load_pipeline(original, device="cpu")
    for _ in pipeline.progress_bar(range(3)):
        pass
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_weights_that_are_there_in_half_precision_only(original, tmp_path) -> None:
    pipeline = load_pipeline(original, device="cpu")
    pipeline.to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    assert not list((tmp_path / "half/unet").glob("*model.safetensors"))
    loaded = load_pipeline(tmp_path / "half", device="cpu")
    assert loaded.dtype == torch.float32
    full = load_pipeline(original, device="cpu").unet.conv_in.weight
    assert torch.equal(loaded.unet.conv_in.weight, full.half().float())


@pytest.mark.parametrize("source", ["sdxl", "./models/sdxl", "/nowhere/sdxl", "a/b/c", "a b/c", ""])
def test_a_folder_that_is_not_there_says_what_to_download(source, no_network) -> None:
    with pytest.raises(
        WeightsError, match=r"hf download diffusers/stable-diffusion-xl-1.0-inpaint"
    ):
        load_pipeline(source, device="cpu")
    assert no_network == []


def test_a_mistyped_path_is_not_taken_for_a_name(tmp_path, monkeypatch, no_network) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    for source in ("models/sdlx", Path("someone/sdxl")):
        with pytest.raises(WeightsError, match="there is no folder"):
            load_pipeline(source, device="cpu")
    assert no_network == []


def test_a_name_without_a_network(no_network, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"no folder here.*could not be fetched.*the network"):
        load_pipeline("someone/sdxl-inpainting", device="cpu")


def test_a_name_is_downloaded_once_asked_for(original, tmp_path, monkeypatch) -> None:
    """The hub's client is stood in for: it puts the pipeline where its cache would."""
    asked = []

    def download(name: str, **options: object) -> str:
        asked.append((name, options))
        return str(shutil.copytree(original, tmp_path / "snapshots/0123456789abcdef0123"))

    monkeypatch.setattr(import_pipeline_class(), "download", download)
    monkeypatch.chdir(tmp_path)
    pipeline = load_pipeline("someone/sdxl-inpainting", device="cpu")
    assert asked == [("someone/sdxl-inpainting", {"variant": None, "use_safetensors": True})]
    assert pipeline.name_or_path == "someone/sdxl-inpainting@0123456789ab"


def test_a_folder_that_is_no_pipeline(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"not a diffusers pipeline: it has no model_index"):
        load_pipeline(tmp_path, device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '"text"'])
def test_a_damaged_index(folder, text) -> None:
    (folder / "model_index.json").write_text(text)
    with pytest.raises(WeightsError, match=r"model_index\.json is damaged"):
        load_pipeline(folder, device="cpu")


def test_a_pipeline_of_another_class(folder) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionXLPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="holds a StableDiffusionXLPipeline; DIAG needs a Stab"):
        load_pipeline(folder, device="cpu")


@pytest.mark.parametrize(
    "part",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder_2/model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer",
        "tokenizer_2/tokenizer.json",
    ],
)
def test_a_part_that_is_missing(folder, part, no_network) -> None:
    path = folder / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(WeightsError, match=f"{folder}.*download it again"):
        load_pipeline(folder, device="cpu")
    assert no_network == []


def test_a_file_that_is_cut_short(folder) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="cut short"):
        load_pipeline(folder, device="cpu")


def test_pickled_weights_are_not_read(folder) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.unlink()
    torch.save({"weight": torch.zeros(1)}, path.with_suffix(".bin"))
    with pytest.raises(WeightsError):
        load_pipeline(folder, device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device 'tpu'"),
        ({"offload": "disk"}, "offload 'disk': use none, model, sequential"),
        ({"offload": "model"}, "it needs a GPU"),
        ({"half": True}, "half precision needs a GPU"),
    ],
)
def test_options_that_do_not_fit(original, options, message) -> None:
    with pytest.raises(SettingsError, match=message):
        load_pipeline(original, **{"device": "cpu", **options})


def test_packages_that_are_not_installed(original, monkeypatch) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, *args: object) -> object:
        return None if name in ("diffusers", "accelerate") else real(name, *args)

    monkeypatch.setattr("patchcore_dual.utils.dependencies.find_spec", find_spec)
    with pytest.raises(MissingDependencyError, match=r"diag needs diffusers.*pip install.*diag"):
        load_pipeline(original, device="cpu")


def test_an_import_that_breaks(original, monkeypatch) -> None:
    """As under a torchvision without its compiled operators."""
    monkeypatch.setitem(sys.modules, "diffusers.utils", None)
    with pytest.raises(SettingsError, match=r"diffusers cannot be imported.*torchvision"):
        load_pipeline(original, device="cpu")


def test_torchvision_is_not_needed(original) -> None:
    load_pipeline(original, device="cpu")
    if importlib.util.find_spec("torchvision") is None:
        assert "torchvision" not in sys.modules


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError("Unable to allocate 2.00 GiB for an array"),
    ],
)
def test_memory_that_runs_out_is_explained(error) -> None:
    with pytest.raises(SettingsError, match="offload model"), explained_memory():
        raise error


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_offloading_paints_the_same_on_a_gpu(original, offload) -> None:
    from patchcore_dual.synthesis.diag.diag import Diag, DiagParameters
    from patchcore_dual.synthesis.diag.prompts import Prompt
    from patchcore_dual.synthesis.generator import TargetMask

    normal = np.full((64, 64, 3), 120, np.uint8)
    mask = np.zeros((64, 64), np.bool_)
    mask[10:50, 20:50] = True
    images = []
    for way in ("none", offload):
        pipeline = load_pipeline(original, device="cuda", offload=way)
        assert pipeline.unet.dtype == torch.float16
        diag = Diag(pipeline, Prompt("dark spot"), DiagParameters(size=128, steps=3))
        images.append(diag.generate(normal, TargetMask(mask), 0).image.astype(int))
    assert np.abs(images[0] - images[1]).mean() < 2
