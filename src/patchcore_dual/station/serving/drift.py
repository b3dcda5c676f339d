"""Whether the parts still look like those that a model was fitted on."""

from typing import Any


def drift_of(model: str) -> dict[str, Any]:
    """The drift of a model, as plain values. It is not measured yet.

    >>> drift_of("bracket")
    {'status': 'not measured'}
    """
    return {"status": "not measured"}
