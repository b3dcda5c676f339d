"""What workers do in the tests of executors; processes and Ray import it by its name."""

import os
import signal
import time
from functools import partial


def make(folder):
    """A function whose items are numbers, and names of what goes wrong."""
    return partial(_do, folder)


def _do(folder, item):
    if item == "deadly" or (item == "deadly once" and not os.path.exists(f"{folder}/died")):
        open(f"{folder}/died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "faulty":
        raise ValueError("a faulty item")
    time.sleep(0.01)
    return item, os.environ["OMP_NUM_THREADS"], os.environ["NUMBA_NUM_THREADS"]


def cannot_be_made(folder):
    raise OSError("no model here")


def dies_at_once(folder):
    os.kill(os.getpid(), signal.SIGKILL)
