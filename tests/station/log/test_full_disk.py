"""On a full disk nothing is acknowledged, and work goes on once there is room."""

import subprocess

import pytest

from patchcore_dual.errors import StationError, UnavailableError
from patchcore_dual.station.log import ImageStore, Log, Query, open_database
from station.log.makers import inspection


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    """Take all the room that is left."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return path


def test_an_inspection_is_not_acknowledged(small_disk):
    log = Log(open_database(f"sqlite:///{small_disk}/station.db"), small_disk / "spool")
    added = [inspection(0)]
    log.add(added[0])
    ballast, refused = fill(small_disk), []
    for seed in range(1, 40):
        record = inspection(seed, note="x" * 10_000)
        try:
            log.add(record)
        except UnavailableError as error:
            refused.append(str(error))
        else:
            added.append(record)
    assert refused
    assert all("No space left" in message for message in refused)
    assert log.list(Query(), 100).items == tuple(added[::-1])
    ballast.unlink()
    added.append(inspection(99))
    log.add(added[-1])
    assert log.list(Query(), 100).items == tuple(added[::-1])
    assert list((small_disk / "spool").iterdir()) == []
    log.close()


def test_a_full_database_alone_is_spooled_for(small_disk, tmp_path):
    log = Log(open_database(f"sqlite:///{small_disk}/station.db"), tmp_path / "spool")
    ballast = fill(small_disk)
    records = [inspection(seed, note="x" * 10_000) for seed in range(20)]
    for record in records:
        log.add(record)
    assert not log.is_available
    ballast.unlink()
    while not log.is_available:
        pass
    assert log.list(Query(), 100).items == tuple(records[::-1])
    log.close()


def test_an_image_is_not_acknowledged(small_disk):
    store = ImageStore(small_disk / "images")
    ballast = fill(small_disk)
    with pytest.raises(UnavailableError, match="No space left"):
        store.put(b"x" * 100_000)
    assert [path for path in (small_disk / "images").rglob("*") if path.is_file()] == []
    ballast.unlink()
    assert store.read(store.put(b"x" * 100_000)) == b"x" * 100_000


def test_a_database_is_not_made(small_disk):
    fill(small_disk)
    with pytest.raises(StationError, match=r"cannot be used|cannot make"):
        open_database(f"sqlite:///{small_disk}/station.db")
