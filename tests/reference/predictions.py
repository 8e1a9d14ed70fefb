"""What `facedet predict` says of pictures of 64 x 48 px with the one face."""

import json

from reference.one_face import SCORE

# The one face reaches outside on all sides.
FACE = {"box": [0.0, 0.0, 64.0, 48.0], "score": SCORE}


def result_of(path, **more):
    return {"file": str(path), "width": 64, "height": 48, "faces": [FACE], **more}


def stored(folder):
    return json.loads((folder / "predictions.json").read_text())["images"]
