"""`facedet predict` on pictures of every sort, sound and not."""

import numpy as np
import pytest
from PIL import Image

from reference.one_face import save_picture
from reference.predictions import result_of, stored


def bad_pictures(folder):
    """Files that are no sound pictures, and a word of what is to be said of each."""
    whole = save_picture(folder / "whole.jpg", (200, 200)).read_bytes()
    whole_png = save_picture(folder / "whole.png", (200, 200)).read_bytes()
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("no picture at all\n" * 99)
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.png").write_bytes(whole_png[: len(whole_png) // 2])
    (folder / "header.jpg").write_bytes(whole[:50])
    # A header that claims 60,000 x 60,000 pixels: 10 GB of them.
    forged = bytearray(whole_png)
    forged[16:24] = (60_000).to_bytes(4, "big") * 2
    (folder / "bomb.png").write_bytes(forged)
    (folder / "dead.jpg").symlink_to("/nowhere/at/all.jpg")
    for name in ("whole.jpg", "whole.png"):
        (folder / name).unlink()
    return {
        "zero.jpg": "empty",
        "text.jpg": "not a picture",
        "cut.jpg": "damaged",
        "cut.png": "damaged",
        "header.jpg": "",
        "bomb.png": "",
        "dead.jpg": "no such file",
    }


def test_bad_pictures_are_listed_after_the_rest_is_done(cli, weights, photos, tmp_path):
    bad = bad_pictures(photos)
    out = tmp_path / "out"
    result = cli("predict", photos, "--weights", weights, "--output", out, "--json")
    assert result.code == 1
    assert [image["file"] for image in result.json["images"]] == [
        str(photos / "a b.jpg"),
        str(photos / "sub" / "c.png"),
    ]
    assert len(stored(out)) == 2
    lines = result.err.splitlines()
    assert lines[-1] == "facedet predict: 7 failed, 2 done"
    for name, word in bad.items():
        said = [line for line in lines if str(photos / name) in line]
        assert len(said) == 1, name
        assert said[0].startswith(f"facedet predict: {photos / name}: ")
        assert word in said[0]
    assert len(list(out.glob("*_faces.jpg"))) == 2


def test_what_leads_to_no_picture(cli, weights, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    words = (tmp_path / "nowhere.jpg", tmp_path / "empty", photos)
    result = cli("predict", *words, "--weights", weights)
    assert result.code == 1
    assert result.out.count("\n") == 4
    assert f"{tmp_path / 'nowhere.jpg'}: no such file or folder" in result.err
    assert f"{tmp_path / 'empty'}: no pictures or videos in this folder" in result.err
    assert "2 failed, 2 done" in result.err


SORTS = {
    "grey.png": ("L", {}, ""),
    "palette.gif": ("P", {}, ""),
    "palette.png": ("P", {}, ""),
    "one bit.png": ("1", {}, ""),
    "cmyk.jpg": ("CMYK", {}, "converted from CMYK"),
    "deep.png": ("I;16", {}, "16 bits scaled to 8"),
    "alpha.png": ("RGBA", {}, "transparency shown over white"),
    "paint.webp": ("RGB", {}, ""),
    "scan.tif": ("RGB", {}, ""),
    "old.bmp": ("RGB", {}, ""),
    "plain.ppm": ("RGB", {}, ""),
}


@pytest.mark.parametrize("name", SORTS)
def test_pictures_of_every_sort(cli, weights, tmp_path, name):
    mode, options, note = SORTS[name]
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 257)
    elif mode == "RGBA":
        image = Image.fromarray(np.dstack([rgb, rgb[:, :, 0]]))
    else:
        image = Image.fromarray(rgb).convert(mode)
    path = tmp_path / name
    image.save(path, **options)
    result = cli("predict", path, "--weights", weights, "--json", "--output", tmp_path / "out")
    assert result.code == 0
    assert result.json["images"] == [result_of(path, **({"note": note} if note else {}))]
    assert (tmp_path / "out" / f"{path.stem}_faces.jpg").is_file()


def test_animations_and_photos_on_their_side_carry_a_note(cli, weights, tmp_path):
    frames = [Image.new("RGB", (64, 48), (value, 0, 0)) for value in (0, 128, 255)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 8
    side = save_picture(tmp_path / "side.jpg", exif=exif)
    result = cli("predict", tmp_path / "moving.gif", side, "--weights", weights, "--json")
    moving, turned = result.json["images"]
    assert moving["note"] == "first of 3 frames"
    # 64 x 48 as stored, 48 x 64 as seen.
    assert (turned["width"], turned["height"]) == (48, 64)
    assert turned["note"] == "turned upright (EXIF orientation 8)"
    assert "[turned upright" in cli("predict", side, "--weights", weights).out


def test_large_pictures_are_cut_or_shrunk_and_say_so(cli, weights, tmp_path):
    path = save_picture(tmp_path / "large.jpg", (600, 100))
    words = ("predict", path, "--weights", weights, "--json", "--pixel-budget", 40_000)
    assert "tiles" in cli(*words).json["images"][0]["note"]
    shrunk = cli(*words, "--on-large", "shrink").json["images"][0]
    assert shrunk["note"].startswith("reduced to 0.816 of its size")  # sqrt(40,000 / 60,000)
    assert shrunk["width"] == 600


def test_a_scale_too_large_for_a_picture_fails_that_picture(cli, weights, photos, tmp_path):
    large = tmp_path / "large.png"
    Image.new("L", (2000, 1100)).save(large)  # at scale 10: 220 million pixels
    result = cli("predict", large, photos, "--weights", weights, "--scales", 10, "--json")
    assert (result.code, len(result.json["images"])) == (1, 2)
    assert f"{large}: 2000 x 1100 pixels times scale 10" in result.err
