"""Fewer defects, and without them the synthetic images that were made from them."""

from itertools import pairwise
from pathlib import Path

import pytest

from patchcore_dual.data.manifest import Manifest, Sample
from patchcore_dual.data.subsets import choose_defects, choose_synthetic, exclude_images
from patchcore_dual.errors import DataError, SettingsError


def made(name: str, *parents: str, kind: str = "", **provenance: object) -> Sample:
    """A synthetic training image."""
    return Sample(
        name,
        name,
        "positive",
        "train",
        kind,
        "g",
        "poisson",
        "",
        {"parents": parents, **provenance},
    )


GOOD = [Sample(f"n{i}", "", "negative", "train") for i in range(3)]
BAD = [Sample(f"p{i}", f"p{i}", "positive", "train", "ab"[i % 2]) for i in range(4)]
TESTED = [Sample("t0", "t0", "positive", "test", "a"), Sample("t1", "", "negative", "test")]
MADE = [made(f"run/{i}", "n0", f"p{i % 4}", kind="ab"[i % 2]) for i in range(8)]
ALL = Manifest(Path("x"), (*GOOD, *BAD, *TESTED, *MADE))


def names(manifest: Manifest) -> set[str]:
    return {s.image for s in manifest}


@pytest.mark.parametrize("count", [0, 1, 3, None])
def test_offspring_of_an_excluded_defect_is_excluded(count: int | None) -> None:
    chosen = choose_defects(ALL, count, (), seed=2)
    kept = names(chosen.real().part("train", "positive"))
    assert len(kept) == (4 if count is None else count)
    assert names(chosen.synthetic()) == {s.image for s in MADE if s.parents & kept}


def test_drawn_defects_of_an_excluded_kind_are_excluded() -> None:
    drawn = made("run/drawn", "n1", kind="a")
    chosen = choose_defects(ALL.where([*ALL, drawn]), None, {"a"}, 0)
    assert {s.kind for s in chosen.part("train", "positive")} == {"b"}


def test_synthetic_subsets_are_nested_and_take_turns_between_runs() -> None:
    both = ALL.where([*ALL, *(made(f"other/{i}", "n1") for i in range(4))])
    subsets = [names(choose_synthetic(both, n).synthetic()) for n in range(13)]
    assert [len(s) for s in subsets] == list(range(13))
    assert all(a < b for a, b in pairwise(subsets))
    assert subsets[4] == {"run/0", "other/0", "run/1", "other/1"}
    assert choose_synthetic(both, "all") == both
    assert names(choose_synthetic(both, "none")) == names(both.real())
    with pytest.raises(SettingsError, match="13 synthetic images were asked for; x has 12"):
        choose_synthetic(both, 13)


def test_a_synthetic_image_is_never_tested() -> None:
    with pytest.raises(DataError, match=r"s\.png was made by poisson and is in the test split"):
        Sample("s.png", "", "positive", "test", origin="poisson")


def test_a_manifest_that_tests_what_a_synthetic_image_shows_is_refused(tmp_path: Path) -> None:
    for row, reason in (
        ("s.png,m.png,positive,test,,,poisson,,", r"line 2: s\.png was made by poisson"),
        (
            's.png,m.png,positive,train,,,poisson,,"{""parents"": [""t.png""]}"',
            r"test image t\.png",
        ),
    ):
        text = f"image,mask,label,split,kind,group,origin,source,provenance\n{row}\n"
        (tmp_path / "manifest.csv").write_text(text + "t.png,,negative,test,,,real,,\n")
        with pytest.raises(DataError, match=reason):
            Manifest.load(tmp_path)


def test_masks_of_test_defects_are_allowed_if_recorded(tmp_path: Path) -> None:
    recorded = made("s.png", "n0", "t0", test_masks=True)
    Manifest(tmp_path, (*GOOD, *TESTED, recorded)).save()
    assert Manifest.load(tmp_path).samples[-1].used_test_mask


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(SettingsError, match="seed is -1; give 0 or more"):
        choose_defects(ALL, 2, (), seed=-1)


def test_excluded_images_take_their_offspring_along() -> None:
    some = ALL.where([*ALL, Sample("n9", "", "negative", "train", source="good/nine.jpg")])
    kept = names(exclude_images(some, ["p1", "good/nine.jpg"]))
    removed = {"p1", "n9", *(s.image for s in MADE if "p1" in s.parents)}
    assert names(some) - kept == removed


def test_all_unknown_names_are_in_one_error() -> None:
    with pytest.raises(DataError, match=r"2 of 3 images to exclude.*: nobody, t0"):
        exclude_images(ALL, ["p1", "t0", "nobody"])


def test_some_normal_image_must_be_left() -> None:
    with pytest.raises(DataError, match="no normal training image is left"):
        exclude_images(ALL, ["n0", "n1", "n2"])
