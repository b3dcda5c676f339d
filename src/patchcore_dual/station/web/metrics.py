"""`Metrics`: the station in figures, as Prometheus reads them."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from patchcore_dual.station.station import Station

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts what the station does.

    Args:
        station: whose inspections, edits and state are counted.
    """

    def __init__(self, station: Station) -> None:
        self._station, self._registry = station, CollectorRegistry()
        self._inspections = Counter(
            "patchcore_dual_inspections",
            "Images that were inspected, by verdict.",
            ("model", "verdict", "source"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "patchcore_dual_inspection_seconds",
            "Time of an inspection, by step: queue, decode, inspect, keep (what is waited for "
            "after it, until it is on disk).",
            ("model", "step"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._requests = Counter(
            "patchcore_dual_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._edits = Counter(
            "patchcore_dual_edits",
            "Changes of models, by action.",
            ("model", "action"),
            registry=self._registry,
        )
        self._decisions = Counter(
            "patchcore_dual_decisions",
            "Decisions of people on inspections.",
            ("model",),
            registry=self._registry,
        )
        self._gauges = {
            name: Gauge(f"patchcore_dual_{name}", text, labels, registry=self._registry)
            for name, text, labels in (
                ("queue_waiting", "Images that wait.", ()),
                ("queue_limit", "Images that may wait.", ()),
                ("model_version", "Version of the model in use; NaN for none.", ("model",)),
                ("model_is_current", "1 where the model on disk is in use.", ("model",)),
                ("drift_is_measured", "1 where drift is measured.", ("model",)),
                ("drift_is_found", "1 where parts are not like those of the fit.", ("model",)),
                ("database_is_available", "0 while results are spooled.", ()),
                ("watch_is_reachable", "0 while a watched folder is away.", ("folder",)),
                ("watch_waiting", "Files in it that are not inspected yet.", ("folder",)),
                ("watch_unplaced", "Inspected files that cannot be moved or marked.", ("folder",)),
                ("watch_is_failing", "1 where nothing can be inspected or moved.", ("folder",)),
                ("outlet_queued", "Results that wait for their receiver.", ("outlet",)),
                ("outlet_lost", "Results lost to it, its queue being full.", ("outlet",)),
                ("outlet_refused", "Results that it will never take.", ("outlet",)),
                ("outlet_failing_seconds", "For how long it has taken none.", ("outlet",)),
                ("disk_free_bytes", "Room where images are kept.", ()),
                ("seconds_up", "Seconds since the station was started.", ()),
            )
        }
        station.listeners.append(self._heard)

    def answered(self, method: str, route: str, status: int) -> None:
        """Count a request."""
        # Methods and paths from outside are not made labels: there is no end of them.
        known = method if method in ("GET", "POST", "PUT", "DELETE") else "other"
        self._requests.labels(known, route or "other", str(status)).inc()

    def text(self) -> bytes:
        """All figures as they are now."""
        state = self._station.state()
        gauges = self._gauges
        gauges["queue_waiting"].set(state["queue"]["waiting"])
        gauges["queue_limit"].set(state["queue"]["limit"])
        gauges["database_is_available"].set(state["database"]["is_available"])
        gauges["disk_free_bytes"].set(state["disk"]["free"])
        gauges["seconds_up"].set(state["seconds_up"])
        for model in state["models"]:
            name, version = model["name"], model["version"]
            gauges["model_version"].labels(name).set(float("nan") if version is None else version)
            gauges["model_is_current"].labels(name).set(not model["problem"])
            status = model["drift"]["status"]
            gauges["drift_is_measured"].labels(name).set(status != "not measured")
            gauges["drift_is_found"].labels(name).set(status == "drifting")
        for watched in state["watch"]["folders"]:
            for name in ("is_reachable", "waiting", "unplaced"):
                gauges[f"watch_{name}"].labels(watched["folder"]).set(watched[name])
            gauges["watch_is_failing"].labels(watched["folder"]).set(bool(watched["failure"]))
        for outlet in state["watch"]["outlets"]:
            for name in ("queued", "lost", "refused"):
                gauges[f"outlet_{name}"].labels(outlet["name"]).set(outlet[name])
            gauges["outlet_failing_seconds"].labels(outlet["name"]).set(outlet["failing_for"])
        return generate_latest(self._registry)

    def _heard(self, kind: str, values: dict[str, Any]) -> None:
        model = values["model"]
        if kind == "inspection":
            source = values["source"].partition(":")[0]
            self._inspections.labels(model, values["verdict"], source).inc()
            for step, milliseconds in values["milliseconds"].items():
                self._seconds.labels(model, step).observe(milliseconds / 1000)
        elif kind == "edit":
            self._edits.labels(model, values["action"]).inc()
        elif kind == "decision":
            self._decisions.labels(model).inc()
