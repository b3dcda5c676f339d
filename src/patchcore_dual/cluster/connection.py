"""Opening an executor: for this machine, or for a cluster of Ray that runs or is started here."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from patchcore_dual.errors import SettingsError, WorkerError
from patchcore_dual.utils.dependencies import require
from patchcore_dual.utils.executor import Executor, InThisProcess
from patchcore_dual.utils.processes import Processes, cores

_CONNECT, _ANSWER = 3.0, 15.0  # seconds in which a cluster has to be reached, and to answer
AUTO = "auto"
# Joins a cluster, and leaves it: Ray itself tries for minutes where none answers.
_TRY = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR')"
_log = logging.getLogger(__name__)


@contextmanager
def open_executor(address: str | None = None, workers: int | None = None) -> Iterator[Executor]:
    """The executor that `--ray` and `--workers` ask for.

    Args:
        address: of a cluster of Ray, as `10.0.0.1:6379`; `auto` for the one that runs on this
            machine, or else one that is started, and ends with the block; None to do without Ray.
        workers: how many; None for one for each core. Without Ray, one is this process itself.

    Raises:
        SettingsError: for a number of workers below 1, or something else than an address.
        WorkerError: where no cluster can be reached at the address.
        MissingDependencyError: without Ray.

    >>> with open_executor(workers=1) as executor:
    ...     list(executor.map(lambda: len, ["abc"]))
    [(0, 3)]
    """
    if workers is not None and workers < 1:
        raise SettingsError(f"--workers is {workers}; give a number from 1 on.")
    if address is None:
        yield InThisProcess() if (workers or cores()) == 1 else Processes(workers)
        return
    require("--ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers otherwise
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and warns of GPUs
    import ray

    from patchcore_dual.cluster.ray_executor import OnRay

    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(address, workers)
    try:
        yield OnRay(workers)
    finally:
        if is_ours:
            ray.shutdown()


def _connect(address: str, workers: int | None) -> None:
    import ray
    from ray._private.services import find_bootstrap_address

    found: str | None = address
    if address == AUTO:
        found = os.environ.get("RAY_ADDRESS")
        local = None if found else find_bootstrap_address(None)
        if local and _listens(local):  # a cluster that was killed leaves its address behind
            with suppress(WorkerError):
                _try_to_join(AUTO)
                found = AUTO  # for which Ray takes this machine's token, if there is one
    if found not in (None, AUTO):
        _check(found)
    # Ray prints on standard output, where `--json` prints its object, that a worker died.
    vars(ray._private.worker)["print_to_stdstream"] = _log_only
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if found is None:
        options |= {"num_cpus": workers or cores(), "include_dashboard": False}
    try:
        ray.init(address=found or "local", **options)
    except (Exception, SystemExit) as error:
        where = f"to the cluster at {found}" if found else "to a cluster started here"
        reason = " ".join(str(error).split())
        raise WorkerError(
            f"Ray cannot connect {where}: {reason}. A machine that is to use a cluster has to be a "
            f"node of it: ray start --address={found or 'HOST:PORT'}"
        ) from None


def _log_only(message: dict[str, Any], **_: Any) -> None:
    _log.debug("%s", " ".join(message["lines"]))


def _check(address: str) -> None:
    """Raise unless a cluster of Ray answers and can be joined."""
    host, colon, port = address.rpartition(":")
    if "//" in address or not colon or not host or not port.isdigit():
        raise SettingsError(
            f"--ray {address!r}: give auto, or the address of the cluster's head as HOST:PORT, "
            "which `ray start --head` shows."
        )
    if not _listens(address):
        raise WorkerError(
            f"there is no cluster of Ray at {address}: nothing answers there. Start one with "
            f"`ray start --head --port={port}` on that machine, or give --ray auto."
        )
    _try_to_join(address)


def _try_to_join(address: str) -> None:
    """Raise WorkerError unless a cluster can be joined from a process of its own."""
    command = [sys.executable, "-c", _TRY, address]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_ANSWER, check=False)
    except subprocess.TimeoutExpired as late:
        if b"AuthToken" in (late.stderr or b""):
            raise WorkerError(
                f"the cluster of Ray at {address} asks for a token: set RAY_AUTH_MODE=token, with "
                "its token on this machine (see `ray get-auth-token`), and run the command again."
            ) from None
        raise WorkerError(
            f"what answers at {address} is no cluster of Ray, or this machine is no node of it. "
            f"Give the address that `ray start --head` shows, and run here: ray start "
            f"--address={address}"
        ) from None
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").split("\n")
        reason = next((line for line in reversed(said) if line.strip()), "no reason given")
        raise WorkerError(f"the cluster of Ray at {address} cannot be used: {reason}")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT):
            return True
    except (OSError, ValueError):
        return False
