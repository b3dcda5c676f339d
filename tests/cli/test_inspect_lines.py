"""`inspect --jsonl` as a user runs it: a line an image, at once, in constant memory."""

import io
import json
import os
import shutil
import subprocess
import sys

import psutil
import pytest

from patchcore_dual.detector import PatchCoreDual

MIB = 2**20


@pytest.fixture
def images(prepared):
    """The first good and the first defective training image."""
    parts = (prepared.part("train", label) for label in ("negative", "positive"))
    return [part.image_path(part.samples[0]) for part in parts]


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.fixture
def stdin(monkeypatch):
    """Give standard input some bytes."""

    def stdin(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return stdin


def test_a_line_is_what_json_gives_for_an_image(run, model_folder, images):
    result = run("inspect", model_folder, *images, "--jsonl")
    assert result.code == 0
    assert lines(result) == run("inspect", model_folder, *images, "--json").json["results"]
    assert [line["verdict"] for line in lines(result)] == ["pass", "reject"]
    assert result.err == "2 images: 1 pass, 0 review, 1 reject\n"


def test_folders_are_walked_through(run, model_folder, prepared):
    together = run("inspect", model_folder, prepared.folder, "--json").json["results"]
    result = run("inspect", model_folder, prepared.folder, "--jsonl")
    assert result.code == 0
    by_path = {line["path"]: line for line in lines(result)}
    assert by_path == {one["path"]: one for one in together}
    assert "left out, a folder of masks: 2 (as " in result.err


def test_an_image_that_cannot_be_read_is_a_line_with_an_error(run, model_folder, images, tmp_path):
    (tmp_path / "broken.png").write_bytes(images[0].read_bytes()[:100])
    paths = (images[0], tmp_path / "broken.png", images[1])
    result = run("inspect", model_folder, *paths, "--jsonl", "--strict")
    assert result.code == 2
    assert [set(line) == {"path", "error"} for line in lines(result)] == [False, True, False]
    assert lines(result)[1]["path"] == str(tmp_path / "broken.png")
    assert result.err.count("error:") == 1
    assert "3 images: 1 pass, 0 review, 1 reject, 1 not read" in result.err
    assert "Traceback" not in result.err


def test_strict_tells_a_reject_by_the_exit_code(run, model_folder, images):
    assert run("inspect", model_folder, images[0], "--jsonl", "--strict").code == 0
    assert run("inspect", model_folder, images[1], "--jsonl", "--strict").code == 1


def test_distorted_images_are_warned_of_on_standard_error(run, model_folder, images, tmp_path):
    from PIL import Image

    with Image.open(images[0]) as image:
        image.resize((96, 64)).save(tmp_path / "lying.png")
    result = run("inspect", model_folder, tmp_path / "lying.png", "--jsonl")
    assert "WARNING: 64x96 distorts 1 of 1 images" in result.err
    assert len(lines(result)) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_paths_come_from_standard_input(run, stdin, model_folder, images, tmp_path, end):
    spaced = tmp_path / "part 1 工.png"
    shutil.copy(images[0], spaced)
    stdin(end.join([str(spaced), "", str(images[1])]).encode())
    result = run("inspect", model_folder, "-", "--jsonl")
    assert result.code == 0
    assert [line["path"] for line in lines(result)] == [str(spaced), str(images[1])]


def test_lines_that_name_no_image_are_errors_and_the_others_follow(
    run, stdin, model_folder, images, tmp_path
):
    odd = [b"none.png", os.fsencode(tmp_path), b"a\0b.png", b"x" * 5000, b"\xff.png"]
    stdin(b"\n".join([*odd, os.fsencode(images[0])]))
    result = run("inspect", model_folder, "-", "--jsonl")
    assert result.code == 2
    assert ["error" in line for line in lines(result)] == [True] * 5 + [False]
    assert "Traceback" not in result.err


def test_no_lines_are_no_images(run, stdin, model_folder):
    stdin(b"")
    result = run("inspect", model_folder, "-", "--jsonl")
    assert (result.code, result.out) == (0, "")


def test_wrong_arguments(fails, model_folder, images, tmp_path, monkeypatch):
    assert "Add --jsonl" in fails("inspect", model_folder, "-")
    assert "Choose one" in fails("inspect", model_folder, images[0], "--jsonl", "--json")
    assert "Choose one" in fails("inspect", model_folder, images[0], "--jsonl", "--out", tmp_path)
    assert "no other images" in fails("inspect", model_folder, "-", images[0], "--jsonl")
    assert "no file or folder" in fails("inspect", model_folder, tmp_path / "none", "--jsonl")
    assert "holds no images" in fails("inspect", model_folder, tmp_path, "--jsonl")
    assert "not a model folder" in fails("inspect", tmp_path, images[0], "--jsonl")
    monkeypatch.setattr(sys, "stdin", None)
    assert "is closed" in fails("inspect", model_folder, "-", "--jsonl")


def test_ctrl_c_says_how_many_were_inspected(run, model_folder, images, monkeypatch):
    inspect_many = PatchCoreDual.inspect_many

    def interrupted(self, images, on_error="raise"):
        yield next(inspect_many(self, images, on_error))
        raise KeyboardInterrupt

    monkeypatch.setattr(PatchCoreDual, "inspect_many", interrupted)
    result = run("inspect", model_folder, *images, "--jsonl")
    assert result.code == 130
    assert len(lines(result)) == 1
    assert "Interrupted. 1 images were inspected" in result.err


def test_a_closed_pipe_ends_quietly(in_a_process, model_folder, images):
    read, write = os.pipe()
    os.close(read)
    result = in_a_process("inspect", model_folder, *images, "--jsonl", stdout=write)
    os.close(write)
    assert result.returncode == 141
    assert result.stderr == b""


# In a process of its own: what others do in this one would count too. One image is inspected first,
# so that all is loaded that the command needs.
KEPT = """
import sys, tracemalloc
from patchcore_dual.cli.main import main
from patchcore_dual.detector import PatchCoreDual
model, image = sys.argv[1:]
def inspect(what):
    sys.argv = ["patchcore-dual", "inspect", model, what, "--jsonl"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
inspect(image)
detector = PatchCoreDual.load(model)
inspection = detector.inspect(image)
PatchCoreDual.inspect_many = lambda self, images, on_error: iter([inspection] * len(images))
def load(folder, device):
    tracemalloc.start()
    return detector
PatchCoreDual.load = load
inspect("-")
print(tracemalloc.get_traced_memory()[1], file=sys.stderr)
"""


def test_nothing_is_kept_of_an_image(model_folder, images):
    """Of 20,000 images, a list of whose paths alone would take 4 MiB."""
    feeder = f"for i in range(20_000): print('{'x' * 100}%d.png' % i)"
    command = [sys.executable, "-c", KEPT, str(model_folder), str(images[0])]
    with subprocess.Popen([sys.executable, "-c", feeder], stdout=subprocess.PIPE) as source:
        ended = subprocess.run(command, stdin=source.stdout, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("\n") == 20_001
    assert int(ended.stderr.split()[-1]) < MIB


def test_results_come_at_once_and_memory_does_not_grow(model_folder, images):
    """In a process: each image is named only after the result of the one before it."""
    code = "from patchcore_dual.cli.main import main; main()"
    command = [sys.executable, "-c", code, "inspect", str(model_folder), "-", "--jsonl"]
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **threads}, **pipes) as process:
        memory = psutil.Process(process.pid)
        taken = {}
        for i in range(1, 701):
            process.stdin.write(os.fsencode(images[0]) + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["path"] == str(images[0])
            if i in (200, 700):
                taken[i] = memory.memory_info().rss
        process.stdin.close()
        assert process.wait() == 0
    assert taken[700] - taken[200] < MIB
