"""`inspect --results` as a user runs it: the rows of plain `inspect`, each once."""

import functools
import http.server
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from patchcore_dual.banks.backend.compute import VARIABLE, get_backend
from patchcore_dual.data.results_folder import read_results
from patchcore_dual.detector import PatchCoreDual

pytest.importorskip(
    "pyarrow", reason="pip install 'patchcore-dual[cluster]' for results in Parquet"
)
TIMES = ("read_ms", "inspect_ms")


@pytest.fixture(scope="module")
def photos(prepared, tmp_path_factory):
    """All images of `prepared` eight times, 144 in five shards, and a broken one."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    folder.mkdir()
    for number in range(8):
        for sample in prepared.samples:
            source = prepared.image_path(sample)
            shutil.copy(source, folder / f"{number}-{sample.split}-{source.name}")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def rows_of(folder):
    rows = list(read_results(folder))
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


@pytest.fixture(scope="module")
def expected(model_folder, photos):
    """The rows of plain inspection, by path.

    Workers search by the same library as this process: a station that ran in it forbids PyTorch to
    the processes that follow.
    """
    detector = PatchCoreDual.load(model_folder)
    rows = {}
    for path in sorted(photos.iterdir()):
        if path.name != "broken.png":
            rows[str(path)] = detector.inspect(path).to_json()
    library = get_backend().__name__.rpartition(".")[2].removesuffix("_backend")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, library)
        yield rows


def assert_equal(folder, expected, photos):
    rows = rows_of(folder)
    assert len(rows) == len(expected) + 1
    found = {row["path"]: row for row in rows}
    broken = found.pop(str(photos / "broken.png"))
    assert broken["verdict"] is None
    assert "cannot be read as an image" in broken["error"]
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        assert {name: found[path][name] for name in values} == values
        assert found[path]["error"] is None
    return rows


def test_the_rows_are_those_of_plain_inspect(run, fails, model_folder, photos, expected, tmp_path):
    results = tmp_path / "results"
    first = run("inspect", model_folder, photos, "--results", results, "--workers", 1)
    assert first.code == 2  # for the broken image
    assert "145 images" in first.out
    assert "1 not read" in first.out
    assert_equal(results, expected, photos)
    assert len(list(results.glob("part-*.parquet"))) == 5
    again = run("inspect", model_folder, photos, "--results", results, "--json", "--strict")
    assert again.code == 2
    assert again.json["inspected_now"] == 0
    assert again.json["counts"]["error"] == 1
    said = fails("inspect", model_folder, photos, "--results", results, "--maps")
    assert "begun with another --maps" in said
    said = fails("inspect", model_folder, photos / "broken.png", "--results", results)
    assert "begun with another source" in said
    said = fails("inspect", model_folder, photos, "--results", photos)
    assert "holds something else than results" in said


def test_errors_are_retried_on_request_and_other_rows_stay(run, model_folder, photos, tmp_path):
    folder, results = tmp_path / "photos", tmp_path / "results"
    folder.mkdir()
    names = sorted(path.name for path in photos.iterdir())
    for name in [one for one in names if one != "broken.png"][:33]:
        shutil.copy(photos / name, folder)
    away = next(folder.glob("0-*"))
    away.rename(tmp_path / away.name)
    away.write_bytes(b"the disk was away")
    command = ("inspect", model_folder, folder, "--results", results, "--workers", 1, "--json")
    assert run(*command).json["counts"]["error"] == 1
    (tmp_path / away.name).rename(away)
    assert run(*command).json["inspected_now"] == 0
    parts = {path: path.stat().st_mtime_ns for path in results.glob("part-*")}
    again = run(*command, "--retry-errors")
    assert again.code == 0
    assert again.json["inspected_now"] == 32
    assert sum(again.json["counts"].values()) == len(rows_of(results)) == 33
    assert sum(path.stat().st_mtime_ns != before for path, before in parts.items()) == 1


# Ends itself by a signal as soon as there are results: it cannot finish before, however busy.
ENDED = """
import glob, os, signal, sys, threading, time
from patchcore_dual.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
number, results = int(sys.argv.pop(1)), sys.argv[sys.argv.index("--results") + 1]
def end():
    while not glob.glob(results + "/part-*.parquet"):
        time.sleep(0.001)
    os.kill(os.getpid(), number)
threading.Thread(target=end, daemon=True).start()
main()
"""


def ended_by(number, command):
    """What a run said that a signal ended after its first shards."""
    line = [sys.executable, "-c", ENDED, str(number), *map(str, command)]
    return subprocess.run(line, capture_output=True, text=True, timeout=300)


def test_a_killed_run_goes_on_and_gives_the_same_rows(
    run, model_folder, photos, expected, tmp_path
):
    results = tmp_path / "results"
    command = ("inspect", model_folder, photos, "--results", results, "--workers", 1)
    assert ended_by(signal.SIGKILL, command).returncode == -signal.SIGKILL
    n_done = len(rows_of(results))
    assert n_done in range(32, 145)
    (results / ".part-00000002.parquet.killed").write_bytes(b"half of a file")
    rest = run(*command, "--json")
    assert rest.json["inspected_now"] == len(expected) + 1 - n_done
    assert_equal(results, expected, photos)


def test_ctrl_c_says_how_to_go_on(model_folder, photos, tmp_path):
    command = ("inspect", model_folder, photos, "--results", tmp_path / "results", "--workers", 1)
    ended = ended_by(signal.SIGINT, command)
    said = ended.stderr
    assert ended.returncode == 130
    assert "of 145 images are inspected, and their results kept" in said
    assert "The same command goes on from there." in said
    assert "Traceback" not in said


def test_a_full_disk_is_said_and_the_same_command_goes_on(
    run, fails, model_folder, photos, expected, tmp_path, no_file_beyond
):
    results = tmp_path / "results"
    command = ("inspect", model_folder, photos, "--results", results, "--workers", 1, "--maps")
    of_list = sum(len(f"{path},{16 * 'f'}\n") for path in photos.iterdir())
    with no_file_beyond(of_list + 1000):  # enough for the plan, not for 32 maps
        said = fails(*command)
    assert "part-00000000.zip: File too large" in said
    assert "when there is room, the same command goes on" in said
    assert not list(results.glob("part-*"))
    assert run(*command).code == 2
    assert_equal(results, expected, photos)


def test_two_processes_with_maps_keep_embeddings_that_are_judged_again(
    run, fails, model_folder, fitted_with, photos, expected, tmp_path
):
    results, kept, again = tmp_path / "results", tmp_path / "kept", tmp_path / "again"
    options = ("--workers", 2, "--maps", "--embeddings", kept)
    assert run("inspect", model_folder, photos, "--results", results, *options).code == 2
    rows = assert_equal(results, expected, photos)
    place, _, name = rows[1]["map"].rpartition("/")
    with zipfile.ZipFile(results / place) as archive, Image.open(archive.open(name)) as heat:
        shown = np.asarray(heat)
    inspection = PatchCoreDual.load(model_folder).inspect(rows[1]["path"])
    assert (shown == np.rint(255 * inspection.heat)).all()

    judge = ("--from-embeddings", kept, "--results", again, "--workers", 1)
    assert run("inspect", model_folder, *judge).code == 2
    for row, new in zip(rows, rows_of(again), strict=True):
        assert new["path"] == row["path"]
        if row["score"] is not None:
            assert new["score"] == pytest.approx(row["score"], abs=0.01)  # half precision
            assert (new["width"], new["height"]) == (row["width"], row["height"])
        else:
            assert "has no embedding" in new["error"]
    other = tmp_path / "other"
    fitted_with(scoring="ratio", levels=(1, 2)).save(other)
    said = fails("inspect", other, "--from-embeddings", kept, "--results", tmp_path / "none")
    assert "are of another network" in said


def test_many_models_by_a_table(run, fails, model_folder, fitted_with, photos, expected, tmp_path):
    other = fitted_with(scoring="patchcore")
    other.save(tmp_path / "other")
    paths = [Path(path) for path in list(expected)[:4]]
    lines = [
        f"{path},{model}\n"
        for path, model in zip(paths, [model_folder, "other", model_folder, "other"], strict=True)
    ]
    (tmp_path / "table.csv").write_text("image,model\n" + "".join(lines))
    results = tmp_path / "results"
    command = ("inspect", "--models", tmp_path / "table.csv", "--results", results, "--workers", 1)
    assert run(*command).code == 0
    rows = {row["path"]: row for row in rows_of(results)}
    assert len(rows) == 4
    for path in (paths[0], paths[2]):
        assert rows[str(path)]["score"] == expected[str(path)]["score"]
    for path in (paths[1], paths[3]):
        assert rows[str(path)]["score"] == other.inspect(path).score
        assert rows[str(path)]["model_folder"] == str(tmp_path / "other")
    (tmp_path / "table.csv").write_text("image,weights\na.png,b\n")
    assert "no column 'model'" in fails(*command)


def test_lists_and_images_over_http(run, fails, model_folder, photos, expected, tmp_path):
    name = Path(next(iter(expected))).name
    handler = functools.partial(_Quiet, directory=photos)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (tmp_path / "list.txt").write_text(f"{url}/{name}\n{photos / name}\n{url}/missing.png\n")
        results = tmp_path / "results"
        done = run("inspect", model_folder, tmp_path / "list.txt", "--results", results)
        server.shutdown()
    assert done.code == 2
    by_url, by_path, missing = rows_of(results)
    assert by_url["score"] == by_path["score"] == expected[str(photos / name)]["score"]
    assert "404" in missing["error"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_only_one_run_at_a_time_and_options_that_need_results(
    run, fails, model_folder, photos, tmp_path
):
    assert "goes with --results" in fails("inspect", model_folder, photos, "--workers", 2)
    assert "give a model folder" in fails("inspect", "--results", tmp_path / "r")
    both = ("--models", "t.csv", "--results", tmp_path / "r")
    assert "--models says" in fails("inspect", model_folder, photos, *both)
    unknown = fails("inspect", model_folder, "memory://nowhere", "--results", tmp_path / "r")
    assert "memory://nowhere" in unknown
    workers = fails("inspect", model_folder, photos, "--results", tmp_path / "r", "--workers", 0)
    assert "--workers is 0" in workers
