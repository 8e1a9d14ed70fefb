"""Which files of which folders are pictures to look at, and how the drawn ones are called."""

import os
import shutil

import numpy as np
import pytest

from facedet.commands.picture_files import find_pictures, names_to_draw
from facedet.data.images import PICTURE_SUFFIXES
from facedet.plots import save_picture as save_drawn
from reference.one_face import save_picture as save_photo


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
    found = find_pictures([folder])
    names = ["a.PNG", "b.jpg", "sub/c.jpg", "sub/deep er/d.jpg"]
    assert found.pictures == [folder / name for name in names]
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
    found = find_pictures(again)
    assert len(found.pictures) == 4
    assert found.pictures[0] == folder / "b.jpg"
    assert (found.others, found.drawn) == (2, 0)
    link = folder / "link.jpg"
    link.symlink_to("b.jpg")
    assert len(find_pictures([folder]).pictures) == 4


def test_a_file_is_taken_whatever_it_is(folder):
    files = [folder / "notes.txt", folder / ".hidden.jpg", drawn(folder / "x_faces.jpg")]
    assert find_pictures(files).pictures == files


def test_what_facedet_drew_is_passed_over_in_folders(folder):
    drawn(folder / "out" / "b_faces.jpg")
    drawn(folder / "b_faces.jpg")
    save_photo(folder / "group_faces.jpg")
    found = find_pictures([folder])
    assert (len(found.pictures), found.drawn) == (5, 2)
    assert folder / "group_faces.jpg" in found.pictures


def test_what_leads_to_nothing_is_said(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copytree(folder, tmp_path / "texts", ignore=shutil.ignore_patterns("*.jpg", "*.PNG"))
    words = [tmp_path / "nowhere", tmp_path / "empty", tmp_path / "texts", folder / "b.jpg"]
    found = find_pictures(words)
    assert found.failures == [
        f"{words[0]}: no such file or folder",
        f"{words[1]}: no pictures in this folder",
        f"{words[2]}: no pictures in this folder",
    ]
    assert found.pictures == [folder / "b.jpg"]


def test_a_dead_link_is_a_picture_that_will_fail(folder):
    (folder / "dead.jpg").symlink_to("/nowhere/at/all.jpg")
    assert folder / "dead.jpg" in find_pictures([folder]).pictures


def test_suffixes_are_lower_case():
    assert {suffix.lower() for suffix in PICTURE_SUFFIXES} == PICTURE_SUFFIXES


def test_equal_names_stay_apart(tmp_path):
    pictures = [tmp_path / name for name in ("a/x.jpg", "b/x.jpg", "c/X.png", "d/y.jpg")]
    names = names_to_draw(pictures, tmp_path / "out")
    assert list(names.values()) == [
        "x_faces.jpg",
        "x_2_faces.jpg",
        # On a disk that does not tell X from x the two would be one file.
        "X_3_faces.jpg",
        "y_faces.jpg",
    ]


def test_nothing_of_the_users_is_replaced(tmp_path):
    """An output folder that is the input folder, with a photo that has the name of a drawing."""
    folder = tmp_path / "photos"
    save_photo(folder / "party.jpg")
    photo = save_photo(folder / "party_faces.jpg").read_bytes()
    for _ in range(2):  # the second time with the drawings of the first
        names = names_to_draw(find_pictures([folder]).pictures, folder)
        assert {path.name: name for path, name in names.items()} == {
            "party.jpg": "party_2_faces.jpg",
            "party_faces.jpg": "party_faces_faces.jpg",
        }
        for name in names.values():
            drawn(folder / name)
        assert (folder / "party_faces.jpg").read_bytes() == photo
    assert len(os.listdir(folder)) == 4
