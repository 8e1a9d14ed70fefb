"""Greedy non-maximum suppression, one box against one box, in Python's numbers."""


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def slow_nms(boxes, scores, threshold, limit=None):
    kept = []
    # `sorted` is stable: of two equal scores the first stays in front.
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if limit is not None and len(kept) == limit:
            break
        if all(slow_iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept
