"""`OnRay`: the executor whose workers are actors of Ray, on one machine or many."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from patchcore_dual.errors import WorkerError
from patchcore_dual.utils.executor import (
    Died,
    Event,
    Failed,
    Item,
    Lost,
    Make,
    Result,
    shared_out,
)
from patchcore_dual.utils.processes import THREAD_VARIABLES

_log = logging.getLogger(__name__)
_SILENT = 20.0  # seconds of waiting for a first worker that nobody need know of


class OnRay:
    """Workers on the cluster that this process is connected to, each with a core of its own.

    Where more are asked for than there are cores, the others start as nodes join.

    Args:
        workers: how many; None for one for each core that the cluster has now.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(
        self, make: Make[Item, Result], items: Iterable[Item]
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See `Executor.map`.

        Raises:
            WorkerError: besides, for a node with other versions than this process has.
        """
        crew = _Crew(make)
        try:
            yield from shared_out(crew, self.workers, items)
        finally:
            crew.end()


class _Crew:
    """Actors, and what each of them is doing."""

    def __init__(self, make: Make[Any, Any]) -> None:
        kind = _worker_class()
        self._actor = ray.remote(num_cpus=1, max_restarts=0)(kind)
        self._versions = kind().versions()
        self._make = ray.put(ray.cloudpickle.dumps(make))
        self._doing: dict[Any, Any] = {}  # actors by the reference of what they do
        self._has_begun = False

    def start(self) -> None:
        actor = self._actor.remote()
        self._doing[actor.begin.remote(self._make, self._versions, THREAD_VARIABLES)] = actor

    def give(self, worker: Any, item: Any) -> None:
        self._doing[worker.do.remote(item)] = worker

    def dismiss(self, worker: Any) -> None:
        ray.kill(worker)

    def events(self) -> Sequence[tuple[Any, Event]]:
        done, _ = ray.wait([*self._doing], timeout=None if self._has_begun else _SILENT)
        if not done:
            _log.warning("waiting for a free core of the cluster.")
            done, _ = ray.wait([*self._doing])
        self._has_begun = True
        return [(self._doing[one], self._event(one)) for one in done]

    def _event(self, reference: Any) -> Event:
        worker = self._doing.pop(reference)
        try:
            answer = ray.get(reference)
        except RayTaskError as error:  # from outside of the function that it runs
            return Failed(WorkerError(f"a worker on Ray failed: {error}"))
        except RayError as error:  # the worker died, or its node with the result
            ray.kill(worker)
            return Died(" ".join(str(error).split("\n\t")[0].split()))
        if isinstance(answer, dict):
            return Failed(WorkerError(_unlike(answer, self._versions)))
        event: Event = answer
        return event

    def end(self) -> None:
        for actor in self._doing.values():
            ray.kill(actor)


def _worker_class() -> Any:
    """The class of the actors.

    It goes to the nodes by value, being local to this function, so that a node without this
    package, or with another version of it, can say so.
    """

    class Worker:
        def versions(self) -> dict[str, str]:
            from importlib.metadata import PackageNotFoundError, version
            from platform import python_version

            try:
                from patchcore_dual._version import __version__ as own
            except ImportError:
                own = "not installed"
            found = {"patchcore-dual": own, "Python": python_version()}
            for package in ("numpy", "openvino", "numba", "torch"):  # which compute the scores
                try:
                    found[package] = version(package)
                except PackageNotFoundError:
                    found[package] = "not installed"
            return found

        def begin(self, make: bytes, versions: dict[str, str], one_thread: Iterable[str]) -> Any:
            import os
            import pickle
            from platform import node

            os.environ.update(dict.fromkeys(one_thread, "1"))  # before a library is loaded
            if self.versions() != versions:
                return {"node": node(), **self.versions()}
            from patchcore_dual.utils.executor import Failed, Ready, outcome

            made = outcome(lambda: pickle.loads(make)())
            if isinstance(made, Failed):
                return made
            self.function, self.outcome = made.value, outcome
            return Ready()

        def do(self, item: Any) -> Any:
            return self.outcome(self.function, item)

    return Worker


def _unlike(node: dict[str, str], here: dict[str, str]) -> str:
    others = [
        f"{name} {node[name]} instead of {version}"
        for name, version in here.items()
        if node[name] != version
    ]
    return (
        f"the node {node['node']} of the cluster has {', '.join(others)}. All nodes need the "
        "versions of this machine: install them there, or take the node out of the cluster."
    )
