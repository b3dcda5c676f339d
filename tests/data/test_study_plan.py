"""The table and the folders of an attribute study, and what is wrong with others."""

import pytest

from patchcore_dual.data.study_plan import read_plan
from patchcore_dual.errors import DataError


@pytest.fixture
def plan(tmp_path):
    def plan(*lines, images=None):
        table = tmp_path / "parts.csv"
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_plan(table, images)

    return plan


@pytest.fixture
def refused(plan):
    def refused(*lines):
        with pytest.raises(DataError) as caught:
            plan(*lines)
        return str(caught.value)

    return refused


def test_a_table_names_parts_and_trials_of_several_appraisers(plan, tmp_path):
    read = plan(
        "part;reference;image;trial;appraiser;verdict",
        "7;good;a\\1.png;1;;",
        "7;GOOD;;1;night shift;review",
        "8;defect;b.png;1;model;",
    )
    assert read.is_defective == {"7": False, "8": True}
    assert [(t.appraiser, t.verdict) for t in read.trials] == [
        ("model", None),
        ("night shift", "review"),
        ("model", None),
    ]
    assert read.images == [tmp_path / "a/1.png", tmp_path / "b.png"]


def test_images_are_relative_to_the_folder_that_is_named(plan, tmp_path):
    read = plan("image,part,reference", "1.png,A,good", images=tmp_path / "photos")
    assert read.images == [tmp_path / "photos/1.png"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("image,part", "1.png,A"), "line 1: no column reference (there are image, part)"),
        (("part,reference,colour", "A,good,red"), "line 1: unknown column colour"),
        (("part,reference,part", "A,good,A"), "a column is there twice"),
        (("image,part,reference", "1.png,A,bad"), "line 2: the reference is 'bad'; use good or"),
        (("image,part,reference", "1.png,,good"), "line 2: the part has no name"),
        (("image,part,reference", ",A,good"), "line 2: no image"),
        (("image,part,reference,trial", "1.png,A,good,"), "line 2: the trial is empty"),
        (("part,reference,appraiser", "A,good,Kim"), "line 2: no verdict; use pass, review"),
        (("part,reference,appraiser,verdict", "A,good,Kim,ok"), "the verdict is 'ok'"),
        (("image,part,reference,verdict", "1.png,A,good,pass"), "a verdict without an appraiser"),
        (("image,part,reference",), "lists no trials"),
        (
            ("image,part,reference", "1.png,A,good", "2.png,A,defect"),
            "line 3: the reference of part A is defect, in line 2 it is the other",
        ),
        (
            ("image,part,reference", "1.png,A,good", "./1.png,B,good"),
            "line 3: ",
        ),
        (
            ("image,part,reference,trial", "1.png,A,good,1", "2.png,A,good,1"),
            "line 3: trial 1 of part A is there before",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(refused, lines, message):
    assert message in refused(*lines)


def test_an_image_that_is_listed_twice_is_named(refused):
    message = refused("image,part,reference", "1.png,A,good", "1.png,A,good")
    assert "1.png is there before" in message
    assert "line 2" in message


def test_all_problems_are_said_together(refused):
    message = refused("image,part,reference", "1.png,A,bad", ",B,good", "3.png,C,fine")
    assert message.startswith("3 problems:")


def photographs(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_parts(tmp_path):
    photographs(
        tmp_path, "good/7/1.png", "good/7/10.png", "good/7/2.png", "Defect/8/1.png", "x/1.png"
    )
    read = read_plan(None, tmp_path)
    assert read.is_defective == {"8": True, "7": False}
    assert [i.name for i in read.images] == ["1.png", "1.png", "2.png", "10.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("good/1.png",), "lies in no folder of a part"),
        (("good/7/1.png", "defect/7/2.png"), "part 7 is in good/ and in defect/"),
        (("7/1.png",), "has no photographs of parts"),
    ],
)
def test_folders_that_are_no_study_are_refused(tmp_path, names, message):
    photographs(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        read_plan(None, tmp_path)


def test_no_photographs_at_all():
    with pytest.raises(DataError, match="no photographs are named"):
        read_plan(None, None)
