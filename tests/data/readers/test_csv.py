"""Tables of boxes: headers, rows, and what is wrong with them."""

import pytest
from own_roots import CSV, check_problem, check_refused, csv_root, put

from facedet.data.readers.csv import Csv

csv = Csv()


@pytest.mark.parametrize(
    "text",
    [
        "image,x,y,w,h,ignore\na.jpg,10,5,10,10,0\na.jpg,0,0,4,8,1\nsub/b.png,,,,,\n",
        "\ufeffFilename;XMin;YMin;XMax;YMax;Ignore\r\na.jpg;10;5;20;15;false\r\n"
        "a.jpg;0;0;4;8;TRUE\r\nsub\\b.png;;;;;\r\n",
        # The columns in any order, others among them: width and height are the picture's here.
        "width\theight\ty2\tx2\ty1\tx1\timage\tiscrowd\n40\t20\t15\t20\t5\t10\ta.jpg\t0\n"
        "40\t20\t8\t4\t0\t0\t./a.jpg\t1\n30\t30\t\t\t\t\tsub/b.png\t0\n",
        'left, top, width, height, ignore, path\n10, 5, 10, 10, 0, "a.jpg"\n\n'
        "0,0,4,8,1,a.jpg\n , , , , , sub/b.png\n",
    ],
)
def test_headers(tmp_path, text):
    put(csv_root(tmp_path) / "train.csv", text)
    listing = csv.list_pictures(tmp_path, "train")
    rows = sorted((list(row.box), row.is_ignored) for one in listing.pictures for row in one.rows)
    assert rows == [([0, 0, 4, 8], True), ([10, 5, 20, 15], False)]
    assert {one.file for one in listing.pictures} == {"a.jpg", "sub/b.png"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,1,2,3", "4 columns, but 6 in the header"),
        ("a.jpg,1,2,3,4,0,9", "7 columns, but 6 in the header"),
        (",1,2,3,4,0", "image is '', expected a path"),
        ("..,1,2,3,4,0", "image is '..', expected a path"),
        ("a.jpg,1,2,three,4,0", "the box is '1, 2, three, 4', expected four finite numbers"),
        ("a.jpg,1,2,,4,0", "the box is '1, 2, , 4', expected four finite numbers"),
        ("a.jpg,1,2,3,4,maybe", "ignore is 'maybe', expected 0 or 1"),
    ],
)
def test_malformed_rows_are_named(tmp_path, row, message):
    lines = CSV["train"].splitlines(keepends=True)
    # The quoted name takes two lines.
    quoted = '"sub\n/b.png",,,,,\n'
    text = "".join([lines[0], quoted, f"{row}\n", *lines[1:3]])
    put(csv_root(tmp_path) / "train.csv", text)
    listing = check_problem("csv", tmp_path, "train.csv", f", line 4: {message}")
    assert [row.place for row in listing.pictures[1].rows] == ["line 5", "line 6"]


def test_a_row_without_its_class(tmp_path):
    put(csv_root(tmp_path) / "train.csv", "image,x,y,w,h,class\na.jpg,1,1,5,5,\n")
    check_problem("csv", tmp_path, "train.csv", ", line 2: the class is missing")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ", line 1: the columns are '', expected image and x1, y1, x2, y2 (or x, y, w, h)"),
        (b"a.jpg,1,2,3,4\n", ", line 1: the columns are 'a.jpg, 1, 2, 3, 4', expected image and "),
        (b"image,x1,y1,x2\n", ", line 1: the columns are 'image, x1, y1, x2', expected image and "),
        (b"image,x1,y1,x2,y2\n\xff\xfe", " cannot be read: 'utf-8' codec can't decode"),
        (b'image,x1,y1,x2,y2\n"' + b"x" * 140_000, ", line 2: field larger than field limit"),
    ],
)
def test_files_of_another_kind(tmp_path, content, message):
    path = csv_root(tmp_path) / "train.csv"
    path.write_bytes(content)
    check_refused("csv", tmp_path, f"{path}{message}")


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,10,5,20,15,face\n",
        "sep=\t\nimage\tx1\ty1\tx2\ty2\na.jpg\t10\t5\t20\t15\n",
        "image_name,width,height,x0,y0,x1,y1\na.jpg,40,20,10,5,20,15\n",
        "img_path,x_min,y_min,x_max,y_max,name\na,10,5,20,15,face,,\n",
        "ImageID,LabelName,XMin,XMax,YMin,YMax\na,face,10,20,5,15\n",
        "image;x1;y1;x2;y2\na.jpg;10,0;5,0;20,0;15,0\n",
    ],
    ids=["no header", "Excel's mark", "x0", "other names", "Open Images", "decimal commas"],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_as_other_tools_write_them(tmp_path, text, encoding):
    (csv_root(tmp_path) / "train.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    (one,) = csv.list_pictures(tmp_path, "train").pictures
    assert (one.file, one.boxes.tolist()) == ("a.jpg", [[10, 5, 20, 15]])


def test_a_table_of_another_name_is_found_or_named(tmp_path):
    csv_root(tmp_path)
    (tmp_path / "train.csv").rename(tmp_path / "labels.csv")
    (tmp_path / "val.csv").rename(tmp_path / "crowd.csv")
    assert csv.splits(tmp_path) == ["all"]
    text = "annotations/*train*.csv, *train*.csv and train/*.csv (there is crowd.csv, labels.csv)"
    hint = "data.val_share=0.1 takes a tenth of 'all' for validation"
    check_refused(
        "csv", tmp_path, f"{tmp_path}: no annotations of train; looked for {text}; {hint}"
    )
