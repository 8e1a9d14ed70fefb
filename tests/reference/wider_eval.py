"""WIDER FACE's evaluation as one would write it down: loops in the order of the scores.

Slow and free of the package's code, to test that against. It follows the toolbox step by step
(Yang et al., 2016): sort, match, mark, sample the curve, integrate.
"""

import math


def overlap(a, b, quirk):
    """IoU of two (x, y, w, h) with the corners x + w, y + h counted as pixels."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) + 1
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] + 1) * (a[3] + 1) + (b[2] + 1) * (b[3] + 1) - width * height
    value = width * height / union
    return float(math.floor(value + 0.5)) if quirk else value


def walk(rows, faces, kept, quirk):
    """Per detection, best first: (score, proposals so far, faces recalled so far)."""
    recalled = [False] * len(faces)
    steps, proposals = [], 0
    for x, y, w, h, score in sorted(rows, key=lambda row: -row[4]):
        best, place = -1.0, -1
        for at, face in enumerate(faces):
            value = overlap((x, y, w, h), face, quirk)
            if value > best:
                best, place = value, at
        if best >= 0.5 and not kept[place]:
            pass
        else:
            proposals += 1
            if best >= 0.5:
                recalled[place] = True
        steps.append((score, proposals, sum(recalled)))
    return steps


def evaluate(images, quirk, thresholds=1000):
    """Average precision, precisions and recalls of a set.

    Args:
        images: list of (rows x, y, w, h, score; faces x, y, w, h; kept flags).
        quirk: round the IoU to 0 or 1.
        thresholds: points on the curve.
    """
    every = [row[4] for rows, _, _ in images for row in rows]
    low, high = (min(every), max(every)) if every else (0.0, 0.0)
    span = high - low
    walks, total = [], 0
    for rows, faces, kept in images:
        scaled = [(*row[:4], (row[4] - low) / span if span else 1.0) for row in rows]
        walks.append(walk(scaled, faces, kept, quirk))
        total += sum(kept)
    precision, recall = [], []
    for t in range(1, thresholds + 1):
        level = 1 - t / thresholds
        proposals = found = 0
        for steps in walks:
            passing = [step for step in steps if step[0] >= level]
            if passing:
                proposals += passing[-1][1]
                found += passing[-1][2]
        precision.append(found / proposals if proposals else 0.0)
        recall.append(found / total if total else 0.0)
    return area(precision, recall), precision, recall


def area(precision, recall):
    """Area under the curve whose precisions are raised to the best at any higher recall."""
    heights = [0.0, *precision, 0.0]
    places = [0.0, *recall, 1.0]
    for at in range(len(heights) - 2, -1, -1):
        heights[at] = max(heights[at], heights[at + 1])
    return sum(
        (places[at + 1] - places[at]) * heights[at + 1]
        for at in range(len(places) - 1)
        if places[at + 1] != places[at]
    )
