"""EXTD's crops the slow way: pixels by resizing the whole picture, rules by loops over faces.

The pixels are those of `facedet.profiling.pipeline`, which `facedet benchmark` times; there is one
copy of them.
"""

from facedet.profiling.pipeline import cut_whole, distort_whole, whole_resize

__all__ = ["anchor_faces", "anchor_window_is_valid", "cut_whole", "distort_whole", "square_faces"]
__all__ += ["whole_resize"]


def anchor_window_is_valid(left, top, size, faces):
    """Whether a window holds a face entirely or overlaps one by IoU > 0.7."""
    for x1, y1, x2, y2 in faces:
        if left <= x1 and top <= y1 and x2 <= left + size and y2 <= top + size:
            return True
        width = min(x2, left + size) - max(x1, left)
        height = min(y2, top + size) - max(y1, top)
        if width > 0 and height > 0:
            shared = width * height
            if shared / (size * size + (x2 - x1) * (y2 - y1) - shared) > 0.7:
                return True
    return False


def anchor_faces(left, top, size, faces):
    """Numbers of the faces that data-anchor sampling keeps."""
    kept = []
    for number, (x1, y1, x2, y2) in enumerate(faces):
        inside = left < (x1 + x2) / 2 < left + size and top < (y1 + y2) / 2 < top + size
        if inside and (x2 - x1) * (y2 - y1) > 36:
            kept.append(number)
    return kept


def square_faces(left, top, side, size, faces):
    """Numbers of the faces that a square crop keeps."""
    kept = []
    for number, (x1, y1, x2, y2) in enumerate(faces):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        if not (left <= x <= left + side and top <= y <= top + side):
            continue
        width = min(x2, left + side) - max(x1, left)
        height = min(y2, top + side) - max(y1, top)
        if width * height * (size / side) ** 2 >= 36:
            kept.append(number)
    return kept
