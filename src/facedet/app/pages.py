"""The pages of the app in Gradio: what is chosen, shown and downloaded. Nothing is computed here.

Gradio's analytics, its history of runs, its sharing and its fonts from other servers are off.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

# Read by Gradio and huggingface_hub when they are imported.
os.environ |= {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

import gradio as gr
import numpy as np

from facedet.app.finding import Found, Limits, default_score, find_in_files, open_weights
from facedet.detections import count_faces
from facedet.errors import FacedetError
from facedet.export.opening import installed_engines
from facedet.files import expand_home

_TITLE = "facedet: faces in pictures and videos"
_ABOUT = """# facedet
Finds faces in pictures and videos, on the machine that runs this app; nothing is sent elsewhere.
What it misses is not the same for all people: not for decisions about them."""
_FILES = "Pictures or videos"
_RESULTS = "results-"
_CAMERA = {"width": 640, "height": 480}  # px; Gradio would take what the camera can
_SWEPT_S, _KEPT_S = 600, 3600  # how often Gradio looks for old files, and how old they become
_CSS = ".facedet-about h1 {margin-bottom: 0}"


class Options(NamedTuple):
    """How the app is served."""

    weights: Mapping[str, str]  # shown name to what `facedet.load` takes; the first is chosen
    engine: str
    score: float | None  # None: as the weights say
    limits: Limits
    megabytes: int  # of an uploaded file


def make_app(options: Options, folder: Path) -> gr.Blocks:
    """The pages; results are written into `folder`, below that of `serving`."""
    actions = _Actions(options, folder)
    first = next(iter(options.weights))
    score = default_score(options.weights[first]) if options.score is None else options.score
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(_SWEPT_S, _KEPT_S)) as app:
        gr.Markdown(_ABOUT, elem_classes="facedet-about")
        with gr.Row():
            weights = gr.Dropdown(list(options.weights), value=first, label="Weights")
            engines = ["auto", *installed_engines()]
            engine = gr.Dropdown(engines, value=options.engine, label="Engine")
            cut = gr.Slider(0, 1, value=score, step=0.01, label="Lowest score of a face")
        weights.change(actions.usual_score, weights, cut, api_visibility="private")
        chosen = [weights, engine, cut]
        _add_files(actions, "Pictures and videos", "multiple", _FILES, chosen)
        _add_files(actions, "Folder", "directory", "A folder of pictures or videos", chosen)
        _add_webcam(actions, chosen)
    return app


def _add_files(
    actions: "_Actions",
    name: str,
    count: Literal["multiple", "directory"],
    label: str,
    chosen: Sequence[gr.Component],
) -> None:
    with gr.Tab(name):
        files = gr.File(file_count=count, label=label, height=160)
        button = gr.Button("Find faces", variant="primary")
        said = gr.Markdown(min_height=60)
        with gr.Column(visible=False) as results:
            # Without Gradio's button that shares on the Hub.
            buttons = ["download", "download_all", "fullscreen"]
            gallery = gr.Gallery(label="Found", columns=3, object_fit="contain", buttons=buttons)
            with gr.Row():
                labels = gr.File(label="Boxes and scores (JSON)", interactive=False)
                archive = gr.File(label="Everything (ZIP)", interactive=False)
        button.click(
            actions.find,
            [files, *chosen],
            [said, results, gallery, labels, archive],
            show_progress_on=said,
            concurrency_id="find",
            api_visibility="private",
        )


def _add_webcam(actions: "_Actions", chosen: Sequence[gr.Component]) -> None:
    with gr.Tab("Webcam"):
        with gr.Row():
            options = gr.WebcamOptions(constraints={"video": _CAMERA})
            camera = gr.Image(
                sources=["webcam"], streaming=True, label="Camera", webcam_options=options
            )
            buttons = ["download", "fullscreen"]
            seen = gr.Image(label="Found", interactive=False, format="jpeg", buttons=buttons)
        counts = gr.Markdown()
        faces = gr.JSON(label="Boxes and scores of this frame")
        camera.stream(
            actions.look,
            [camera, *chosen],
            [seen, counts, faces],
            stream_every=0.2,
            concurrency_id="look",  # lasts as long as the camera is on; requests do not wait for it
            show_progress="hidden",
            api_visibility="private",
        )


class _Actions:
    """What happens at a click."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.folder = folder

    def usual_score(self, weights: str) -> float:
        try:
            return default_score(self.options.weights[weights])
        except FacedetError as error:
            raise gr.Error(self._in_words(error)) from error

    def find(
        self,
        files: list[str] | None,
        weights: str,
        engine: str,
        score: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # where Gradio looks for it
    ) -> tuple[str, gr.Column, list[tuple[str, str]], str | None, str | None]:
        def report(name: str, count: int) -> None:
            progress((count, None), desc=name, unit="frames")

        try:
            progress((0, None), desc="Loading the weights")
            detector = open_weights(self.options.weights[weights], engine, score)
            self._forget()
            folder = Path(tempfile.mkdtemp(prefix=_RESULTS, dir=self.folder)) / "faces"
            folder.mkdir()
            found = find_in_files(detector, files or [], folder, self.options.limits, report)
        except FacedetError as error:
            found = Found(failures=[self._in_words(error)])
        shown = [(str(path), caption) for path, caption in found.shown]
        downloads = [str(path) if path else None for path in (found.labels, found.archive)]
        return found.summary, gr.Column(visible=bool(shown)), shown, *downloads

    def look(
        self, rgb: np.ndarray | None, weights: str, engine: str, score: float
    ) -> tuple[np.ndarray | None, str, dict[str, Any] | None]:
        if rgb is None:
            return None, "", None
        try:
            detector = open_weights(self.options.weights[weights], engine, score)
            start = time.perf_counter()
            found = detector.detect(rgb)
        except FacedetError as error:
            return None, f"**Not done**: {self._in_words(error)}", None
        said = f"{count_faces(len(found))}, {1e3 * (time.perf_counter() - start):.0f} ms"
        return found.drawn(), said, found.to_dict()

    def _forget(self) -> None:
        """Removes old results; Gradio has copies of what it shows, and removes those."""
        for old in self.folder.glob(f"{_RESULTS}*"):
            if old.stat().st_mtime < time.time() - _KEPT_S:
                shutil.rmtree(old, ignore_errors=True)

    def _in_words(self, error: FacedetError) -> str:
        """What went wrong, without a path of this machine."""
        text = str(error)
        for shown, path in self.options.weights.items():
            text = text.replace(str(expand_home(path)), shown).replace(path, shown)
        return text


@contextmanager
def serving(options: Options, host: str, port: int | None) -> Iterator[str]:
    """The app's address while the block runs; uploads and results are removed after it.

    `host` is the address of the network card to listen at, 127.0.0.1 for this machine only; without
    a `port` the app takes the first free one from 7860.

    Raises:
        FacedetError: the port is taken.
    """
    folder = Path(tempfile.mkdtemp(prefix="facedet-app-"))
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    app = make_app(options, folder)
    try:
        _, url, _ = app.queue(default_concurrency_limit=1, max_size=32).launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            inbrowser=False,
            ssr_mode=False,
            footer_links=[],
            enable_monitoring=False,
            max_file_size=options.megabytes * 1_000_000,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=_CSS,
        )
        yield url
    except OSError as error:
        raise FacedetError(f"{host}:{port or ''}: cannot be listened at ({error})") from error
    finally:
        app.close(verbose=False)
        shutil.rmtree(folder, ignore_errors=True)
