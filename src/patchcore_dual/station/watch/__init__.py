"""Watched folders: images that appear are inspected, and their results go to the line."""

from patchcore_dual.station.watch.outlets import Mqtt, Outlet, Webhook
from patchcore_dual.station.watch.watch import Watch, watch_of

__all__ = ["Mqtt", "Outlet", "Watch", "Webhook", "watch_of"]
