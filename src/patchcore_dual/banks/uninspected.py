"""Patches that are not inspected, since they lie outside the region of interest.

Their features are NaN, and so is all that follows from them: distances, log odds, scores, the
anomaly map. What looks for a maximum or a mean leaves NaN out; what forgets to, shows it.
"""

import numpy as np


def uninspected(features: np.ndarray) -> np.ndarray:
    """bool `[...]`: which patches, of features float32 `[..., d]`, are not inspected.

    >>> uninspected(np.array([[1.0, 2.0], [np.nan, np.nan]]))
    array([False,  True])
    """
    return np.isnan(features[..., 0])


def searchable(features: np.ndarray) -> np.ndarray:
    """The features with zeros in place of NaN: themselves where every patch is inspected."""
    outside = uninspected(features)
    return np.where(outside[..., None], np.float32(0), features) if outside.any() else features


def marked(distance: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Values float32 `[...]` or `[..., s]` of patches, NaN where these are not inspected."""
    outside = uninspected(features)
    if outside.any():
        distance = distance.copy()
        distance[outside] = np.nan
    return distance
