"""The ways in which lines take results: a file beside the image, a webhook, MQTT."""

from patchcore_dual.station.watch.outlets.delivery import Delivery, Outlet, Refused, Undelivered
from patchcore_dual.station.watch.outlets.files import path_beside, write_beside
from patchcore_dual.station.watch.outlets.mqtt import Mqtt
from patchcore_dual.station.watch.outlets.queue import Message, OutletQueue
from patchcore_dual.station.watch.outlets.webhook import Webhook, sign

__all__ = [
    "Delivery",
    "Message",
    "Mqtt",
    "Outlet",
    "OutletQueue",
    "Refused",
    "Undelivered",
    "Webhook",
    "path_beside",
    "sign",
    "write_beside",
]
