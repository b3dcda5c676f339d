"""Models as older versions of the program wrote them."""

import hashlib
import json

from safetensors.numpy import load, save

from patchcore_dual.model.folder import MODEL_FILE


def as_schema_7(folder):
    """Make a saved model, never changed, one of schema 7, with a single file for each role.

    Returns its `model.json` as plain values, for tests that go further back.
    """
    path = folder / MODEL_FILE
    entry = json.loads(path.read_text())
    files = {}
    for role, names in entry["files"].items():
        if len(names) > 1:  # the calibration set
            arrays = {k: v for name in names for k, v in load(_take(folder / name)).items()}
            content = save(arrays)
            names = [f"{role}-{hashlib.sha256(content).hexdigest()}.safetensors"]
            (folder / names[0]).write_bytes(content)
        (files[role],) = names
    entry |= {"schema_version": 7, "files": files}
    path.write_text(json.dumps(entry))
    return entry


def _take(path):
    content = path.read_bytes()
    path.unlink()
    return content
