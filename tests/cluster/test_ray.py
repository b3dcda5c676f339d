"""Ray as an executor: one cluster on this machine, for the whole file."""

import os
import platform
import socket
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import crews
import patchcore_dual
from patchcore_dual.banks.backend.compute import VARIABLE, get_backend
from patchcore_dual.cli.main import main
from patchcore_dual.cluster import connection
from patchcore_dual.cluster.connection import open_executor
from patchcore_dual.data.results_folder import read_results
from patchcore_dual.errors import SettingsError, WorkerError
from patchcore_dual.utils.executor import Lost

ray = pytest.importorskip(
    "ray", reason="Ray is not installed: pip install 'patchcore-dual[cluster]'"
)


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose head has one core. Its sockets need a folder with a short path."""
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(dir="/tmp") as short:
        patch.setenv("RAY_TMPDIR", short)
        paths = [str(Path(crews.__file__).parent), str(Path(patchcore_dual.__file__).parents[1])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # A station that ran in this process forbids PyTorch to the processes that follow.
        library = get_backend().__name__.rpartition(".")[2].removesuffix("_backend")
        patch.setenv(VARIABLE, library)
        cluster = Cluster(initialize_head=True, head_node_args=arguments)
        yield cluster
        cluster.shutdown()


def test_a_node_and_workers_are_lost_and_every_item_comes_once(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    items = [*range(200), "deadly once", *range(200), "deadly"]
    with open_executor(cluster.address) as executor:
        assert executor.workers == 2
        results = []
        for result in executor.map(partial(crews.make, tmp_path), iter(items)):
            results.append(result)
            if len(results) == 100:
                cluster.remove_node(node, allow_graceful=False)
    assert sorted(index for index, _ in results) == list(range(len(items)))
    for index, result in results:
        if items[index] == "deadly":
            assert isinstance(result, Lost)
        else:
            assert result == (items[index], "1", "1")


def test_a_node_with_another_version_is_refused_by_name(cluster, tmp_path):
    package = tmp_path / "other" / "patchcore_dual"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_version.py").write_text('__version__ = "0.0.9"')
    node = cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(package.parent)})
    cluster.wait_for_nodes()
    try:
        with open_executor(cluster.address) as executor, pytest.raises(WorkerError) as caught:
            list(executor.map(partial(crews.make, tmp_path), range(100)))
    finally:
        cluster.remove_node(node)
    own = patchcore_dual.__version__
    assert f"has patchcore-dual 0.0.9 instead of {own}" in str(caught.value)
    assert platform.node() in str(caught.value)


def test_inspect_gives_the_rows_of_one_process(
    cluster, model_folder, prepared, tmp_path, monkeypatch
):
    pytest.importorskip("pyarrow")
    found = []
    for where in (("--workers", "1"), ("--ray", cluster.address)):
        results = tmp_path / where[0]
        command = ["inspect", model_folder, prepared.folder, "--results", results, *where]
        monkeypatch.setattr(sys, "argv", ["patchcore-dual", *map(str, command)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        found.append(
            [
                {name: value for name, value in row.items() if not name.endswith("_ms")}
                for row in read_results(results)
            ]
        )
    assert len(found[0]) >= len(prepared.samples)
    assert found[0] == found[1]


def test_an_address_without_a_cluster():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(WorkerError, match="nothing answers there"):
        open_executor(f"127.0.0.1:{port}").__enter__()


def test_an_address_of_something_else(monkeypatch):
    monkeypatch.setattr(connection, "_ANSWER", 3.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,  # takes connections, and says nothing
        pytest.raises(WorkerError, match="is no cluster of Ray"),
    ):
        open_executor(f"127.0.0.1:{server.getsockname()[1]}").__enter__()


@pytest.mark.parametrize("address", ["", "head", "ray://head:10001", "head:", ":6379"])
def test_what_is_no_address(address):
    with pytest.raises(SettingsError, match="HOST:PORT"):
        open_executor(address).__enter__()
