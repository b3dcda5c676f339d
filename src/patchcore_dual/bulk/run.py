"""`inspect_all`: inspects what remains of a plan, and writes the results of each shard at once.

Workers give the rows of a shard as a Parquet file, and this process alone writes it, atomically. A
shard whose file is there is done: nothing is lost and nothing comes twice, whatever is killed.
"""

import io
import zipfile
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from patchcore_dual.bulk.inspection import Job, ShardResult, begin, error_rows
from patchcore_dual.bulk.plan import Plan, Shard
from patchcore_dual.data.results_folder import MAPS, joined, map_archive, part_path
from patchcore_dual.errors import DataError
from patchcore_dual.utils.executor import Executor, Lost
from patchcore_dual.utils.files import replace_in_order


def inspect_all(
    plan: Plan, job: Job, executor: Executor, again: Collection[int] = ()
) -> Iterator[ShardResult]:
    """Inspect the images of a plan that have no results yet.

    An image whose workers die time and again gets a row with an error.

    Args:
        plan: what is to be done.
        job: how.
        executor: whose workers do it.
        again: numbers of shards whose results are replaced.

    Returns:
        The result of each shard, when it has been written.

    Raises:
        DataError: a file cannot be written, as on a full disk. What was written stays, and the next
            run goes on from there.
        WorkerError: as `Executor.map`.
        ModelError: for a model that workers cannot read, or that has changed.
    """
    lost: list[Shard] = []
    for shard, result in _results(plan.remaining(again), job, executor):
        if result is None:
            lost.append(shard)
        else:
            _write(plan.folder, shard, result)
            yield result
    # Images of a shard that was lost are tried one by one: the others are not to suffer for one.
    whole = {shard.number: shard for shard in lost}
    pieces: dict[int, dict[int, ShardResult]] = {shard.number: {} for shard in lost}
    singles = (one for shard in lost for one in shard.apart())
    for one, result in _results(singles, job, executor):
        shard, done = whole[one.number], pieces[one.number]
        done[one.start] = result or error_rows(one, job, "every worker that took it died.")
        if len(done) == len(shard.images):
            together = _together([done[place] for place in sorted(done)])
            del pieces[one.number]
            _write(plan.folder, shard, together)
            yield together


def _results(
    shards: Iterator[Shard], job: Job, executor: Executor
) -> Iterator[tuple[Shard, ShardResult | None]]:
    """Each shard with its result; None where it was lost."""
    given: dict[int, Shard] = {}

    def noted() -> Iterator[Shard]:
        for index, shard in enumerate(shards):
            given[index] = shard
            yield shard

    for index, result in executor.map(partial(begin, job), noted()):
        yield given.pop(index), None if isinstance(result, Lost) else result


def _together(results: list[ShardResult]) -> ShardResult:
    whole = ShardResult(joined([result.rows for result in results]))
    for result in results:
        whole.maps.update(result.maps)
        whole.counts.update(result.counts)
        whole.notes.update(result.notes)
        whole.errors.extend(result.errors)
        whole.distorted.extend(result.distorted)
    return whole


def _write(folder: Path, shard: Shard, result: ShardResult) -> None:
    contents = {part_path(folder, shard.number): result.rows}
    if result.maps:
        (folder / MAPS).mkdir(exist_ok=True)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:  # of PNG, which cannot be made smaller
            for name, content in result.maps.items():
                file.writestr(zipfile.ZipInfo(name), content)
        path = folder / MAPS / map_archive(shard.number)
        contents = {path: archive.getvalue(), **contents}  # the rows come last
    try:
        replace_in_order(contents)
    except DataError as error:
        raise DataError(
            f"{error} The results so far are kept: when there is room, the same command goes on."
        ) from None
