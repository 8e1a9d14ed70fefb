"""From a picture to boxes: passes at several scales, decoding, suppression and merging."""
