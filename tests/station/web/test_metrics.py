"""Figures for Prometheus that other tests do not see."""

import re
import time

from patchcore_dual.station.settings import WatchedFolder
from patchcore_dual.station.watch import Watch, Webhook
from patchcore_dual.station.web.metrics import Metrics


def test_watched_folders_and_outlets_are_in_the_figures(station, pictures, tmp_path):
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "part.png").write_bytes(pictures.good)
    metrics = Metrics(station)
    folders = [WatchedFolder(camera, "part", settle=0.0, every=0.02)]
    watch = Watch(station, folders, [Webhook("http://127.0.0.1:9/nobody")], station.settings.data)
    station.watch_state = watch.state
    watch.start()

    def figure(name):
        (value,) = re.findall(
            rf"^patchcore_dual_{name}\{{.*\}} (.*)$", metrics.text().decode(), re.M
        )
        return float(value)

    try:
        deadline = time.monotonic() + 30
        while (
            figure("outlet_queued") != 1
            or not figure("outlet_failing_seconds")
            or figure("watch_waiting")
        ):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [figure(f"outlet_{name}") for name in ("lost", "refused")] == [0, 0]
        assert (figure("watch_is_reachable"), figure("watch_is_failing")) == (1, 0)
        camera.rename(tmp_path / "away")
        while figure("watch_is_reachable"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert figure("watch_is_failing") == 1
    finally:
        watch.close()
