"""The log of a station: inspections and edits in a database, images on disk.

What `Log.add` was given when it returned is kept, whatever happens to the process or the database.
"""

from patchcore_dual.station.log.database import open_database
from patchcore_dual.station.log.images import ImageStore, Removed
from patchcore_dual.station.log.log import Log
from patchcore_dual.station.log.query import Page, Query
from patchcore_dual.station.log.records import Decision, EditRecord, InspectionRecord

__all__ = [
    "Decision",
    "EditRecord",
    "ImageStore",
    "InspectionRecord",
    "Log",
    "Page",
    "Query",
    "Removed",
    "open_database",
]
