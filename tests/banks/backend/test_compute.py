"""The compute backends: their choice, their products, and that a search does not depend on it."""

import os
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from patchcore_dual.banks.backend import codes, compute
from patchcore_dual.errors import SettingsError

BACKENDS = ("torch", "numpy")

# Searches a bank exhaustively and by bounds, and saves what it finds. With "without", no file may
# import PyTorch, as where it is not installed.
SEARCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}")

file, torch = sys.argv[1:]
if torch == "without":
    sys.meta_path.insert(0, NoTorch())

import numpy as np
from patchcore_dual.banks import MemoryBank, Queries, select_coresets
from patchcore_dual.banks.backend.compute import get_backend

rng = np.random.default_rng(0)
field = rng.standard_normal((60, 60, 90)).repeat(2, 0).repeat(2, 1)
field = (field + 0.3 * rng.standard_normal(field.shape)) * 0.98 ** np.arange(90) + 5
field = field.astype(np.float32)
vectors, features = field[:80, ::3].reshape(-1, 90), np.ascontiguousarray(field[80:, :50])
n = len(vectors)
bank = MemoryBank(vectors, np.zeros(n, np.int32), np.zeros((n, 2), np.int32), ("a",))
assert isinstance(bank.queries(features), Queries)
distance, index = bank.nearest(features)
small, of_small = bank.select(np.arange(500)).nearest(features)
of_source = bank.nearest_by_source(features[:4, :4])
fold = np.zeros(n, np.uint8)
coreset = select_coresets(vectors, fold, [None], size_of=lambda n: 60, seed=0)[0].rows
name = get_backend().__name__.rpartition(".")[2]
np.savez(file, name=name, distance=distance, index=index, small=small, of_small=of_small,
         of_source=of_source, coreset=coreset)
assert ("torch" in sys.modules) == (name == "torch_backend")
"""


def search(file, torch="with", forced=None):
    """What the search above finds, in an interpreter of its own."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    variables.pop(compute.VARIABLE, None)
    if forced:
        variables[compute.VARIABLE] = forced
    command = [sys.executable, "-c", SEARCH, str(file), torch]
    subprocess.run(command, env=variables, check=True)
    return dict(np.load(file))


def test_without_pytorch_a_search_finds_the_same(tmp_path):
    found = search(tmp_path / "with.npz")
    without = search(tmp_path / "without.npz", "without")
    forced = search(tmp_path / "forced.npz", forced="numpy")
    assert found.pop("name") == "torch_backend"
    assert without.pop("name") == forced.pop("name") == "numpy_backend"
    for other in (without, forced):
        for name in ("index", "of_small", "coreset"):
            np.testing.assert_array_equal(other[name], found[name])
        for name in ("distance", "small", "of_source"):
            np.testing.assert_allclose(other[name], found[name], rtol=1e-5)


@pytest.fixture
def choose(monkeypatch):
    """`get_backend` as in a new process, for a value of the environment variable."""

    def chosen(value):
        monkeypatch.setenv(compute.VARIABLE, value)
        compute.get_backend.cache_clear()
        return compute.get_backend()

    yield chosen
    compute.get_backend.cache_clear()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_can_be_forced(choose, name):
    assert choose(name).__name__ == f"patchcore_dual.banks.backend.{name}_backend"


def test_an_unknown_backend_is_refused(choose):
    with pytest.raises(SettingsError, match="use torch or numpy"):
        choose("jax")


def test_forcing_pytorch_where_it_is_missing_says_how_to_install_it(choose, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "patchcore_dual.banks.backend.torch_backend", raising=False)
    assert choose("").__name__.endswith("numpy_backend")
    with pytest.raises(SettingsError, match=r"pip install 'patchcore-dual\[train\]'"):
        choose("torch")


@pytest.fixture(params=BACKENDS)
def backend(request):
    return import_module(f"patchcore_dual.banks.backend.{request.param}_backend")


# More columns than floats could add exactly; numbers of rows that four does not divide.
@pytest.mark.parametrize("d", [2, 3, 64, 100, 2000])
@pytest.mark.parametrize("n", [1, 4, 7, 64])
def test_products_of_codes_are_exact(backend, d, n):
    rng = np.random.default_rng(d + n)
    queries = rng.integers(-127, 128, (5, d)).astype(np.int8)
    levels = codes.bank_levels() if backend.__name__.endswith("torch_backend") else 127
    bank = rng.integers(-levels, levels + 1, (n, d)).astype(np.int8)
    queries[0], bank[0] = 127, levels
    queries[1] = -127
    products = np.empty((5, n), np.int32)
    backend.code_product(queries, bank, products)
    np.testing.assert_array_equal(products, queries.astype(int) @ bank.T.astype(int))


@pytest.mark.parametrize("transposed", [False, True])
def test_float_products(backend, transposed):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 30), np.float32), rng.standard_normal((30, 9), np.float32)
    if transposed:
        a, b = np.asfortranarray(a), np.asfortranarray(b)
    found = backend.product(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, a.astype(float) @ b.astype(float), rtol=1e-4, atol=1e-5)


def test_a_backend_says_how_many_threads_it_uses(backend):
    count = backend.thread_count()
    assert count >= 1
    backend.set_thread_count(count)
    assert backend.thread_count() == count
