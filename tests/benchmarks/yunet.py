"""YuNet-n beside our detectors: whole calls in one interleaved run, and the AP.

YuNet (Wu et al., 2023; github.com/ShiqiYu/libfacedetection.train, Apache-2.0) is the peer of a
similar size. Its network runs in ONNX Runtime as ours do, files of `facedet export` in the engine
that they are for; all in our pipeline, with our non-maximum suppression. YuNet's own
preparation (BGR, padding to multiples of 32) and decoding count as network. The picture that is
timed is an embedded crowd of VGA size.

    python tests/benchmarks/yunet.py yunet_n_dynamic.onnx --data WIDER --threads 1

`--picture FILE.png` draws the AP over the time and over the parameters, without exported files.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from facedet.api import load
from facedet.box_coder import DecodedBoxes
from facedet.config import build
from facedet.data.readers.wider import read_wider
from facedet.evaluation.detect import detect_records
from facedet.evaluation.scoring import build_benchmark, find_protocol, score_records
from facedet.export.pictures import embedded_pictures
from facedet.inference.pyramid import Pyramid
from facedet.plots import Point, pareto_front, plot_trade_off
from facedet.profiling.latency import measure_calls
from facedet.profiling.timing import describe_machine
from facedet.structures import Predictions
from facedet.weights.store import EXPORTED_SUFFIXES, load_network

STRIDES = (8, 16, 32)
SCORE = 0.6
SUBSETS = ("easy", "medium", "hard")
COSTS = {"whole call on a VGA picture, ms": "whole_ms", "parameters": "parameters"}


class YuNet:
    """The network of an ONNX file: images uint8 [B, 3, H, W] RGB to boxes and scores."""

    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # As in facedet's engine: the idle threads of one detector would take the next one's cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = onnx.load(path).graph.initializer
        self.parameters = sum(
            int(np.prod(one.dims)) for one in weights if one.data_type == onnx.TensorProto.FLOAT
        )
        self.session = onnxruntime.InferenceSession(path, options)

    def __call__(self, images):
        height, width = images.shape[2:]
        padded = np.zeros((len(images), 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        padded[:, :, :height, :width] = images.numpy()[:, ::-1]
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in STRIDES]
        outputs = dict(zip(names, self.session.run(names, {"input": padded}), strict=True))
        scores, boxes = [], []
        for stride in STRIDES:
            rows, columns = (side // stride for side in padded.shape[2:])
            y, x = np.mgrid[:rows, :columns].reshape(2, 1, -1, 1) * stride
            code = outputs[f"bbox_{stride}"] * stride
            centre = code[..., :2] + np.concatenate([x, y], axis=2)
            half = np.exp(outputs[f"bbox_{stride}"][..., 2:]) * stride / 2
            boxes.append(np.concatenate([centre - half, centre + half], axis=2))
            scores.append(np.sqrt(outputs[f"cls_{stride}"] * outputs[f"obj_{stride}"]))
        found = torch.from_numpy(np.concatenate(scores, axis=1).astype(np.float32))
        face = found.clamp(1e-6, 1 - 1e-6).logit()
        deltas = torch.from_numpy(np.concatenate(boxes, axis=1).astype(np.float32))
        return Predictions(torch.cat([0 * face, face], dim=2), deltas, deltas[0])


def single_pass(net, coder, protocol):
    """The detector as the protocol runs it, over any network."""
    postprocess = build(protocol.postprocess)(box_coder=coder)
    return Pyramid(net, postprocess, build(protocol.scales), build(protocol.merge))


def measure_ap(detect, records, protocol):
    benchmark = build_benchmark(protocol)
    with tempfile.TemporaryDirectory() as folder:
        detect_records(detect, records, benchmark.writer(Path(folder), **protocol.files))
        found = benchmark.read_detections(Path(folder))
    report = score_records(protocol, benchmark, records, found).report
    return {key: round(value, 4) for key, value in report.items() if key.startswith("wider/")}


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("onnx", help="yunet_n_dynamic.onnx")
    parser.add_argument("--weights", nargs="+", default=["extd-plain-32", "extd-plain-64"])
    parser.add_argument("--data", type=Path, required=True, help="folder of WIDER FACE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--limit", type=int, help="pictures for the AP (all; 0: no AP)")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    options = parser.parse_args(given)
    torch.set_num_threads(options.threads)
    protocol = find_protocol("wider_single")
    records = read_wider(options.data, "val", images="present").records
    rgb = embedded_pictures("val", 1, 640)[0][:480]
    coder = DecodedBoxes()
    # Timed at the score from which the authors' demo shows a face, and at ours.
    peer = single_pass(YuNet(options.onnx, options.threads), coder, protocol)
    timed = single_pass(peer.net, coder, protocol)
    timed.postprocess = replace(peer.postprocess, score=SCORE)
    ours = [
        load(one, engine="auto" if _is_exported(one) else "onnxruntime", threads=options.threads)
        for one in options.weights
    ]
    times = measure_calls([timed, *(one.pyramid for one in ours)], rgb, options.runs)
    judged = [peer, *(_judged(one.pyramid, protocol) for one in ours)]
    sizes = [peer.net.parameters, *map(_parameters, options.weights)]
    rows = []
    for name, time, detect, size in zip(
        ["yunet_n", *options.weights], times, judged, sizes, strict=True
    ):
        rows.append({"detector": name, "parameters": size, **time})
        if options.limit != 0:
            rows[-1] |= measure_ap(detect, records[: options.limit], protocol)
    pictures = len(records[: options.limit])
    machine = describe_machine()
    print(json.dumps({"machine": machine, "pictures": pictures, "rows": rows}, indent=1))
    if options.picture:
        _draw(
            options.picture,
            rows,
            f"{pictures} pictures of WIDER val; {machine['cpu']}, threads: {options.threads}",
        )


def _is_exported(name):
    return Path(name).suffix in EXPORTED_SUFFIXES


def _parameters(name):
    """Of the network with its normalisations folded in, as YuNet's file has it."""
    if _is_exported(name):
        return None
    return sum(one.numel() for one in load_network(name).parameters())


def _draw(path, rows, how):
    rows = [row for row in rows if row["parameters"]]
    values = [statistics.mean(row[f"wider/{one}"] for one in SUBSETS) for row in rows]
    panels = {}
    for label, key in COSTS.items():
        costs = [row[key] for row in rows]
        front = pareto_front(costs, values)
        panels[label] = [
            Point(cost, value, None, row["detector"], best)
            for cost, value, row, best in zip(costs, values, rows, front, strict=True)
        ]
    title = (
        f"AP by wider_single and whole calls in ONNX Runtime; steps join the best trade-offs\n{how}"
    )
    plot_trade_off(path, panels, "mean of easy, medium and hard AP", title)


def _judged(own, protocol):
    return single_pass(own.net, own.postprocess.box_coder, protocol)


if __name__ == "__main__":
    sys.exit(main())
