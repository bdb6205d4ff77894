"""The categories: what the file holds, what is wrong with it by line, and what no file can change."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.categories import ILLEGAL, TEST, UNJUDGED, Categories, shipped
from appliance.testing import Home, run_cli
from appliance.yamlfile import ConfigError

SHIPPED = Path(__file__).parent.parent / "etc" / "categories.yaml"
THIRTEEN = (
    *("adult", "bullying", "radicalisation", "drugs", "eating_disorder", "grooming"),
    *("illegal", "hate_lgbt", "hate_race_religion", "self_harm", "sexting", "suicide"),
    "weapons",
)
GOOD = """\
categories:
  - key: drugs
    title: Drugs
    hide_picture: false
    images: keep
    guidance: [Ask first.]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "categories.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_has_thirteen_and_the_core_two() -> None:
    categories = Categories.load(SHIPPED)
    assert [one.key for one in categories.all()] == [*THIRTEEN, TEST, UNJUDGED]
    assert all(len(one.guidance) in (3, 4) for one in categories.all() if one.key in THIRTEEN)
    assert [one.key for one in categories.all() if not one.keeps_images] == [ILLEGAL]
    assert all(one.title and one.title == one.title.strip() for one in categories.all())
    assert not categories.get(TEST).hide_picture


def test_the_shipped_guidance_names_what_is_new_among_children() -> None:
    categories = Categories.load(SHIPPED)
    assert categories.title("sexting") == "Nudes and semi-nudes"
    for key, words in (("sexting", "deepfake"), ("bullying", "misogyny"), ("radicalisation", "misinformation")):
        assert words in " ".join(categories.get(key).guidance), key


def test_where_there_is_no_file_the_shipped_one_counts(tmp_path: Path) -> None:
    assert shipped("categories.yaml") == SHIPPED
    assert Categories.load(tmp_path / "categories.yaml").title("drugs") == "Drugs and substance misuse"
    assert Categories.load(write(tmp_path, GOOD)).title("drugs") == "Drugs"


def test_a_category_that_the_file_does_not_have_hides_its_pictures() -> None:
    found = Categories(()).get("very_new")
    assert (found.title, found.hide_picture, found.keeps_images) == ("Very new", True, True)
    assert found.guidance
    assert not Categories(()).get(ILLEGAL).keeps_images


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("- a\n", 1, "not a list of categories"),
        ("categories: []\n", 1, "no category is listed"),
        ("categories:\n  - drugs\n", 2, "not a category"),
        (GOOD + "more: 1\n", 7, "no such key"),
        (GOOD.replace("title: Drugs", "titel: Drugs"), 3, "no such key"),
        (GOOD.replace("title: Drugs", "title: 3"), 3, "title is not text"),
        (GOOD.replace("    title: Drugs\n", ""), 2, "title is missing"),
        (GOOD.replace("key: drugs", "key: drugs!"), 2, "no key"),
        (GOOD.replace("key: drugs", "key: test"), 2, "the appliance itself"),
        (GOOD.replace("hide_picture: false", "hide_picture: perhaps"), 4, "no switch"),
        (GOOD.replace("images: keep", "images: sometimes"), 5, "images is missing"),
        (GOOD.replace("key: drugs", "key: illegal"), 5, "may be an offence"),
        (GOOD.replace("[Ask first.]", "[]"), 6, "no list of sentences"),
        (GOOD.replace("[Ask first.]", "Ask first."), 6, "no list of sentences"),
        (GOOD.replace("[Ask first.]", "['']"), 6, "no list of sentences"),
        (GOOD + GOOD.partition("\n")[2], 7, "listed twice (first on line 2)"),
    ],
)
def test_what_is_wrong_is_told_by_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        Categories.load(path)
    mistakes = [(one.line, one.file) for one in caught.value.mistakes if words in str(one)]
    assert mistakes == [(line, path)], str(caught.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("images: keep", "images: no").replace("false", "no"))
    with pytest.raises(ConfigError) as caught:
        Categories.load(path)
    assert len(caught.value.mistakes) == 2


def test_a_broken_file_is_a_mistake_of_the_settings(appliance_home: Home) -> None:
    write(appliance_home.folder, GOOD.replace("images: keep", "images: all"))
    checked = run_cli(appliance_home, "check-config")
    assert checked.returncode == 2, checked.stdout + checked.stderr
    assert "categories.yaml:5" in checked.stderr + checked.stdout
