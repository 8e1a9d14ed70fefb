import cv2
import numpy as np
import pytest

from facedet.data.crowds.painting import Crowd, paint_crowd
from facedet.data.crowds.sources import Sources, load_sources


@pytest.fixture(scope="module")
def sources() -> dict[str, Sources]:
    return {split: load_sources(split) for split in ("train", "val")}


@pytest.fixture(scope="module")
def painted(sources) -> list[Crowd]:
    train = sources["train"]
    return [
        paint_crowd(train, index % len(train.events), 320, np.random.default_rng([0, 0, index]))
        for index in range(55)
    ]


def test_a_box_holds_the_face_it_promises(painted, sources):
    # The box of the natural patch: columns 11 -/+ 8.4 and rows 13.5 -/+ 10.5, so 3:19 and 3:24;
    # its corners, outside the oval, show the ground.
    y, x = np.mgrid[:21, :16] + 0.5
    oval = ((x - 8) / 8) ** 2 + ((y - 10.5) / 10.5) ** 2 < 1
    faces = sources["train"].faces[:, 3:24, 3:19]
    faces = np.concatenate([faces[:, oval], faces[:, :, ::-1][:, oval]])
    faces = faces - faces.mean(axis=1, keepdims=True)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)

    def best(grey, box, shift):
        x1, y1, x2, y2 = box
        crop = grey[y1:y2, x1 + shift : x2 + shift]
        if crop.shape != (y2 - y1, x2 - x1):
            return None
        values = cv2.resize(crop, (16, 21), interpolation=cv2.INTER_AREA)[oval]
        values = values - values.mean()
        return float((faces @ values).max() / (np.linalg.norm(values) + 1e-6))

    right, shifted = [], []
    for crowd in painted:
        grey = crowd.image.astype(np.float32).mean(axis=2)
        for place in crowd.places:
            if place.is_face and place.covered == 0 and place.scale > 1:
                box = place.box()
                right.append(best(grey, box, 0))
                shifted.append(best(grey, box, (box[2] - box[0]) // 3))
    assert np.median(right) > 0.75
    assert np.median([value for value in shifted if value is not None]) < 0.65


def area_under_curve(faces: np.ndarray, others: np.ndarray) -> float:
    return float(
        (faces[:, None] > others[None]).mean() + (faces[:, None] == others[None]).mean() / 2
    )


def test_no_paste_mark_tells_faces_from_distractors(painted):
    """Sharpness, edge and contrast of the rim, and colour separate the two no better than chance.

    About 500 of each: the standard error of an area near one half is 0.02.
    """
    marks: dict[bool, list[list[float]]] = {True: [], False: []}
    for crowd in painted:
        grey = cv2.cvtColor(crowd.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        colour = cv2.cvtColor(crowd.image, cv2.COLOR_RGB2LAB)[..., 1:].astype(np.float32)
        sharpness = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
        edge = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        y, x = np.mgrid[:320, :320] + 0.5
        for place in crowd.places:
            if place.covered > 0:
                continue
            x1, y1, x2, y2 = place.box()
            radius = 2 * np.hypot((x - (x1 + x2) / 2) / (x2 - x1), (y - (y1 + y2) / 2) / (y2 - y1))
            inside, rim = radius < 1, (radius > 0.9) & (radius < 1.3)
            around = (radius > 1.2) & (radius < 1.45)
            marks[place.is_face].append(
                [
                    sharpness[inside].mean(),
                    edge[rim].mean(),
                    abs(grey[inside].mean() - grey[around].mean()),
                    float(np.linalg.norm(colour[inside].mean(0) - colour[around].mean(0))),
                ]
            )
    faces, others = np.array(marks[True]), np.array(marks[False])
    assert min(len(faces), len(others)) > 300
    areas = [area_under_curve(faces[:, at], others[:, at]) for at in range(4)]
    assert areas == pytest.approx([0.5] * 4, abs=0.1), areas
