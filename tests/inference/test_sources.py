"""Which words of a command line lead to which pictures, and how files made of them are called."""

import io
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facedet.errors import FacedetError
from facedet.inference.sources import pictures
from facedet.inference.sources.pictures import PictureSource
from facedet.inference.sources.selection import find_sources, unique_stems
from facedet.inference.sources.videos import VideoSource
from facedet.plots import save_picture as save_drawn
from reference.one_face import save_picture as save_photo
from reference.web_server import web_server


def find(*words):
    return find_sources([str(word) for word in words])


def read(source):
    (frame,) = source.frames()
    return frame


def paths(found):
    return [source.path for source in found.sources]


def drawn(path):
    save_drawn(path, np.zeros((8, 8, 3), dtype=np.uint8))
    return path


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos ü"
    for name in ("b.jpg", "a.PNG", "sub/c.jpg", "sub/deep er/d.jpg"):
        save_photo(root / name)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.jpg").write_text("no picture")
    (root / "sub" / "folder.jpg").mkdir()
    return root


def test_a_folder_is_searched_through_in_order(folder):
    found = find(folder)
    names = ["a.PNG", "b.jpg", "sub/c.jpg", "sub/deep er/d.jpg"]
    assert paths(found) == [folder / name for name in names]
    assert (found.failures, found.others, found.drawn) == ([], 2, 0)


def test_each_picture_once_under_the_first_path_that_named_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    again = [
        folder / "b.jpg",
        folder,
        folder / "sub" / "..",
        folder / "sub",
        folder.relative_to(folder),
    ]
    found = find(*again)
    assert len(paths(found)) == 4
    assert paths(found)[0] == folder / "b.jpg"
    assert (found.others, found.drawn) == (2, 0)
    # A link has a name of its own, and so has what is found in it.
    (folder / "link.jpg").symlink_to("b.jpg")
    assert len(paths(find(folder, folder / "link.jpg"))) == 5


def test_a_file_is_taken_whatever_it_is(folder):
    files = [folder / "a.PNG", folder / ".hidden.jpg", drawn(folder / "x_faces.jpg")]
    assert paths(find(*files)) == files


def test_what_facedet_drew_is_passed_over_in_folders(folder):
    drawn(folder / "out" / "b_faces.jpg")
    drawn(folder / "b_faces.jpg")
    save_photo(folder / "group_faces.jpg")
    found = find(folder)
    assert (len(paths(found)), found.drawn) == (5, 2)
    assert folder / "group_faces.jpg" in paths(found)


def test_what_leads_to_nothing_is_said(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copytree(folder, tmp_path / "texts", ignore=shutil.ignore_patterns("*.jpg", "*.PNG"))
    words = [tmp_path / "nowhere", tmp_path / "empty", tmp_path / "texts", folder / "b.jpg"]
    found = find(*words)
    assert found.failures == [
        f"{words[0]}: no such file or folder",
        f"{words[1]}: no pictures or videos in this folder",
        f"{words[2]}: no pictures or videos in this folder",
    ]
    assert paths(found) == [folder / "b.jpg"]


def test_a_dead_link_is_a_picture_that_will_fail(folder):
    (folder / "dead.jpg").symlink_to("/nowhere/at/all.jpg")
    assert folder / "dead.jpg" in paths(find(folder))


def test_linked_folders_loops_and_pipes(folder, tmp_path):
    (folder / "linked").symlink_to(tmp_path / "real")
    save_photo(tmp_path / "real" / "p.jpg")
    (tmp_path / "real" / "loop").symlink_to(folder)
    (folder / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(folder / "pipe.jpg")
    found = find(folder)
    assert folder / "linked" / "p.jpg" in paths(found)
    assert len(paths(found)) == 7
    for name in ("self.jpg", "pipe.jpg"):
        (source,) = [one for one in found.sources if one.path == folder / name]
        with pytest.raises(FacedetError, match=name):
            read(source)


def test_patterns_and_lists(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert paths(find("*.jpg")) == [Path("b.jpg")]
    assert len(paths(find("**/*.jpg"))) == 3
    assert find("*.bmp").failures == ["*.bmp: matches no file"]
    save_photo(folder / "odd[1].jpg")
    assert paths(find("odd[1].jpg")) == [Path("odd[1].jpg")]
    monkeypatch.chdir(folder.parent)
    listed = folder / "list.txt"
    listed.write_bytes("\ufeff# mine\r\nb.jpg\r\n\r\n  sub/c.jpg \r\nno.jpg".encode())
    found = find(listed)
    assert paths(found) == [folder / "b.jpg", folder / "sub" / "c.jpg"]
    assert found.failures == ["no.jpg: no such file or folder"]
    listed.write_text("\n")
    assert find(listed).failures == [f"{listed}: lists no pictures"]
    listed.write_bytes(b"\xff\xfe")
    assert "not a readable list" in find(listed).failures[0]


def test_standard_input(folder, monkeypatch):
    data = (folder / "a.PNG").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    (source,) = find("-", "-").sources
    assert (source.name, source.stem, read(source).rgb.shape) == ("-", "stdin", (48, 64, 3))
    with pytest.raises(FacedetError, match="-: nothing arrived"):
        read(source)


def test_urls(folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with web_server() as server:
        url = server.serve("photo.jpg", (folder / "b.jpg").read_bytes())
        (source,) = find(url).sources
        assert (source.name, source.stem) == (url, "photo")
        assert read(source).rgb.shape == (48, 64, 3)
        for name, body, words in (
            ("page", b"<html>", "not a picture of a format"),
            ("empty", b"", "nothing arrived"),
        ):
            with pytest.raises(FacedetError, match=words) as caught:
                read(find(server.serve(name, body)).sources[0])
            assert str(caught.value).startswith(server.url(name))
        with pytest.raises(FacedetError, match=r"no.jpg cannot be fetched \(Not Found\)"):
            read(find(server.url("no.jpg")).sources[0])
        monkeypatch.setattr(pictures, "_URL_BYTES", 1000)
        with pytest.raises(FacedetError, match=r"photo.jpg: more than 0 MB"):
            read(source)
        monkeypatch.undo()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(pictures, "_URL_SECONDS", 0.0)
        with pytest.raises(FacedetError, match="photo.jpg"):
            read(source)


@pytest.mark.parametrize("url", ["ftp://h/a.jpg", "file:///etc/passwd", "data://a"])
def test_other_schemes_are_refused(url):
    assert find(url).failures == [f"{url}: expected an http, https, rtsp, rtmp, udp or srt URL"]


def test_words_that_look_like_something_else(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.copy("b.jpg", "~b.jpg")
    found = find("http://[::1/a.jpg", "~b.jpg", "~nobody/c.jpg")
    assert found.failures == [
        "http://[::1/a.jpg: Invalid IPv6 URL",
        "~nobody/c.jpg: no such file or folder",
    ]
    assert [source.name for source in found.sources] == ["~b.jpg"]


def stems_of(photos, output):
    return unique_stems([PictureSource(str(one), one.stem, one) for one in photos], output)


def test_equal_names_stay_apart(tmp_path):
    photos = [tmp_path / name for name in ("a/x.jpg", "b/x.jpg", "c/X.png", "d/y.jpg")]
    # On a disk that does not tell X from x the first and third would be one file.
    assert list(stems_of(photos, tmp_path).values()) == ["x", "x_2", "X_3", "y"]


def test_a_picture_is_not_called_as_a_frame(tmp_path):
    names = ("film_000000", "Film_1234567", "film_00000", "other_000000")
    photos = [PictureSource(f"{one}.jpg", one, tmp_path / f"{one}.jpg") for one in names]
    film = VideoSource("film.mp4", "film", tmp_path / "film.mp4")
    stems = unique_stems([*photos, film], tmp_path)
    expected = ["film_000000_2", "Film_1234567_2", "film_00000", "other_000000", "film"]
    assert list(stems.values()) == expected


def test_long_names_are_cut(tmp_path):
    photos = [tmp_path / f"{'ü' * 120}{end}.jpg" for end in "ab"]
    stems = list(stems_of(photos, tmp_path).values())
    assert stems == ["ü" * 100, "ü" * 100 + "_2"]


def test_nothing_of_the_users_is_replaced(tmp_path):
    """An output folder that is the input folder, with a photo that has the name of a drawing."""
    folder = tmp_path / "photos"
    save_photo(folder / "party.jpg")
    photo = save_photo(folder / "party_faces.jpg").read_bytes()
    for _ in range(2):  # the second time with the drawings of the first
        stems = unique_stems(find(folder).sources, folder)
        assert list(stems.values()) == ["party_2", "party_faces"]
        for stem in stems.values():
            drawn(folder / f"{stem}_faces.jpg")
        assert (folder / "party_faces.jpg").read_bytes() == photo
    assert len(os.listdir(folder)) == 4
