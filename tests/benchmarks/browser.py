"""Time of a VGA picture on the web page in headless Chromium, and in `facedet.load()`, in turn.

PYTHONPATH=tests python tests/benchmarks/browser.py --rounds 20

The processor time is that of the thread that runs the network; on a busy machine the wall time says
more about its neighbours.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

import facedet
from facedet.export.pictures import embedded_pictures
from facedet.export.web.page import DEFAULT_WEIGHTS, write_page
from reference.chromium import Page, serving


class Tab:
    """The page, and the thread in which it finds faces."""

    def __init__(self, profile, url):
        self.page = Page(profile)
        self.page.open(f"{url}/index.html")
        self.page.wait_for("document.querySelector('#status')?.textContent.startsWith('Ready')")
        renderers = psutil.Process(self.page.process.pid).children(recursive=True)
        tasks = [task for one in renderers for task in Path(f"/proc/{one.pid}/task").iterdir()]
        (self._task,) = (
            task for task in tasks if (task / "comm").read_text().startswith("DedicatedWorker")
        )

    def __call__(self, picture):
        """Wall and processor ms, and the number of faces."""
        before = self._cpu()
        self.page.run("timing.textContent = ''")
        self.page.choose_file("#file", picture)
        self.page.wait_for("timing.textContent")
        wall = self.page.run("Number(/(\\d+) ms/.exec(timing.textContent)[1])")
        return wall, self._cpu() - before, self.page.run("boxes.children.length")

    def _cpu(self):
        # The kernel counts ns here, and hundredths of a second in `stat`.
        return int((self._task / "schedstat").read_text().split()[0]) / 1e6


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS, help="file or name")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--runtime", type=Path, help="as of `facedet export --format web`")
    args = parser.parse_args(words)
    detector = facedet.load(args.weights, engine="onnxruntime", threads=1)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "vga.png")
        Image.fromarray(embedded_pictures("val", 1, 640)[0][:480]).save(picture)
        rgb = np.array(Image.open(picture))
        page = write_page(args.weights, Path(folder, "page"), args.runtime)
        with serving(page.folder) as (url, _):
            tab = Tab(Path(folder, "profile"), url)
            times = [(tab(picture), in_python(detector, rgb)) for _ in range(args.rounds)]
            tab.page.close()
    # The first rounds compile and fill caches.
    middle = np.median(np.array(times[args.rounds // 4 :]), axis=0)
    names = ("wall_ms", "cpu_ms", "faces")
    result = {
        kind: dict(zip(names, row.round(1).tolist(), strict=True))
        for kind, row in zip(("browser", "python"), middle, strict=True)
    }
    print(json.dumps({**result, "sizes": page.sizes, "load": os.getloadavg()}, indent=1))


def in_python(detector, rgb):
    start, cpu = time.perf_counter(), time.thread_time()
    faces = detector.detect(rgb)
    return (time.perf_counter() - start) * 1e3, (time.thread_time() - cpu) * 1e3, len(faces)


if __name__ == "__main__":
    main()
