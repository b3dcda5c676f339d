"""Lists and filters use indexes: what they leave out is not read.

`benchmarks/station_log.py` measures them with 100,000 inspections.
"""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from patchcore_dual.station.log import Log, Query, open_database
from patchcore_dual.station.log.rows import insert
from station.log.makers import START, inspection

QUERIES = {
    "all": Query(),
    "model": Query(model="gears"),
    "verdict": Query(verdict={"reject", "review"}),
    "review": Query(review="open"),
    "time": Query(since=START, until=START + timedelta(minutes=9)),
    "score": Query(min_score=1.9, max_score=1.95),
    "name": Query(name="no such name"),
    "no region": Query(has_region=False),
    "region": Query(region=(630, 0, 1, 1)),
    "several": Query(model="gears", verdict={"reject"}, review="done", name="p", min_score=1.0),
}
INDEXED = re.compile("COVERING INDEX|inspections_by_review")
# Besides: a row of the page by its id, the page itself, and the regions of one inspection. Few
# inspections are in review, so that their rows may be read to be filtered further.
ALLOWED = re.compile(rf"{INDEXED.pattern}|PRIMARY KEY|SCAN anon_1|SEARCH inspections .*\(id=\?\)")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    engine = open_database(f"sqlite:///{folder}/station.db")
    with engine.begin() as connection:
        insert(connection, [inspection(seed) for seed in range(2000)])
    log = Log(engine, folder / "spool")
    yield log
    log.close()


def plan_of(log, call):
    """SQLite's plan of the statement that a call executes."""
    plans = []

    def explain(connection, cursor, statement, parameters, context, many):
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plans.append([row[3] for row in cursor.fetchall()])

    event.listen(log._engine, "before_cursor_execute", explain)
    try:
        call()
    finally:
        event.remove(log._engine, "before_cursor_execute", explain)
    (plan,) = plans
    return plan


@pytest.mark.parametrize("name", QUERIES)
def test_a_list_reads_the_rows_of_its_page_alone(log, name):
    newest = log.list(Query(), 1).items[0].id
    for cursor in (None, newest):
        plan = plan_of(log, lambda cursor=cursor: log.list(QUERIES[name], 50, cursor))
        assert any(INDEXED.search(step) for step in plan)
        for step in plan:
            assert not step.startswith(("SCAN", "SEARCH")) or ALLOWED.search(step), plan


@pytest.mark.parametrize("model", [None, "gears"])
def test_counting_reads_the_index_of_times_alone(log, model):
    plan = plan_of(log, lambda: log.counts(START, model))
    assert any("SEARCH" in step and "COVERING INDEX inspections_by_time" in step for step in plan)


def test_edits_of_a_model_are_found_by_its_index(log):
    (step,) = plan_of(log, lambda: log.edits("brackets"))
    assert "edits_by_model" in step
