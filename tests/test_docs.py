"""The documentation: what is generated is fresh, what is linked is there, what is quoted is in the code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from appliance.__main__ import parser
from appliance.config import Place, check, read_source
from appliance.events import CORE_EVENTS
from appliance.plugin_finder import hook_names
from docs import build

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"])
GUIDE = DOCS / "plugin-authors.md"
REFRESH = "Run `make docs` and commit what it writes."
WHOLE_FILE = "# appliance.yaml\n"
"""First line of a code block that is a whole settings file."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in these languages."""
    return [text for language, text in _FENCE.findall(page.read_text()) if language in languages]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text())


# Generated pages


@pytest.mark.parametrize("name", sorted(build.pages()))
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    path = DOCS / name
    written = path.read_text() if path.is_file() else ""
    assert written == build.pages()[name], f"docs/{name} is stale. {REFRESH}"


def test_no_reference_page_is_left_over() -> None:
    assert {f"reference/{path.name}" for path in (DOCS / "reference").iterdir()} == set(build.pages())


@pytest.mark.parametrize("page", ["reference/hooks.md", "plugin-authors.md"])
def test_every_hook_is_mentioned(page: str) -> None:
    text = (DOCS / page).read_text()
    assert [name for name in hook_names() if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", ["reference/events.md", "plugin-authors.md"])
def test_every_event_of_the_core_is_mentioned(page: str) -> None:
    text = (DOCS / page).read_text()
    assert [event.__name__ for event in CORE_EVENTS if event.__name__ not in text] == []


def test_every_setting_is_mentioned() -> None:
    source = read_source(Place(ROOT / "etc" / "appliance.yaml"))
    paths = [row.path for row in check(source, build.bundled_models()).rows()]
    assert "plugins.dns_filter.port" in paths
    text = (DOCS / "reference" / "settings.md").read_text()
    assert [path for path in paths if f"### `{path}`\n" not in text] == []


def listed_commands(from_help: str, above: str = "") -> Iterator[str]:
    """Commands as ``--help`` prints them."""
    for name in re.findall(r"^    (\w[\w-]*)  ", from_help, re.MULTILINE):
        yield f"{above} {name}".strip()


def test_every_command_is_mentioned_and_hidden_ones_are_not() -> None:
    text = (DOCS / "reference" / "commands.md").read_text()
    assert [name for name in listed_commands(parser().format_help()) if f"appliance {name}" not in text] == []
    assert "probe" not in text


# Links


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    return {build.anchor(title) for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in _LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        links = (page.parent / link.partition("#")[0] for link in _LINK.findall(prose(page)))
        waiting += [target for link in links if (target := link.resolve()).suffix == ".md" and target not in seen]
    assert [name_of(page) for page in PAGES if page not in seen] == []


# Code in pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_in_pages_are_right(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "yaml")):
        place = Place(tmp_path / f"{number}.yaml", tmp_path)
        place.config_file.write_text(text)
        source = read_source(place)
        if text.startswith(WHOLE_FILE):
            check(source, build.bundled_models())


def test_a_whole_settings_file_is_shown() -> None:
    shown = [text for page in PAGES for text in blocks(page, "yaml") if text.startswith(WHOLE_FILE)]
    assert shown


def quotes() -> list[tuple[str, str]]:
    """File and text of every quotation in the guide."""
    pattern = r"^<!-- quoted from (\S+) -->\n\n```\w+\n(.*?)^```$"
    return re.findall(pattern, GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_piece_of_code_in_the_guide_is_quoted_from_a_file() -> None:
    assert len(quotes()) == len(blocks(GUIDE, "python", "sql", "html", "js"))


@pytest.mark.parametrize(("file", "text"), quotes(), ids=lambda value: value.partition("\n")[0][:60])
def test_what_the_guide_quotes_is_in_the_file(file: str, text: str) -> None:
    source = (ROOT / file).read_text()
    indents = {len(line) - len(line.lstrip()) for line in source.splitlines() if line.strip()}
    assert any(textwrap.indent(text, " " * indent) in source for indent in indents), f"{file} says something else now"


def commands_in(page: Path) -> Iterator[str]:
    """Every ``appliance ...`` that stands as code in a page, without what follows a #."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    lines += re.findall(r"`(appliance [^`]+)`", prose(page))
    for line in lines:
        if line.startswith("appliance "):
            yield line.partition("#")[0].strip()


OF_PLUGINS = frozenset({
    ("dns", "explain"),
    *(("policy", word) for word in ("pack", "sign", "verify", "new-key", "check", "import-list", "remove-list")),
})  # fmt: skip
"""Commands that bundled plugins add; the plugin's own tests run them."""


@pytest.mark.parametrize("page", [page for page in PAGES if "reference" not in page.parts], ids=name_of)
def test_commands_in_pages_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for line in commands_in(page):
        if tuple(line.split()[1:3]) in OF_PLUGINS:
            continue
        try:
            parser().parse_args(line.split()[1:])
        except SystemExit:
            wrong.append(f"{line}: {capsys.readouterr().err}")
    assert wrong == []


@cache
def all_source() -> str:
    """Everything that can speak to a person, as one line."""
    plugins = [path for path in ROOT.glob("plugins/*/**/*.py") if "tests" not in path.relative_to(ROOT).parts]
    files = [*ROOT.glob("appliance/**/*.py"), *plugins, *ROOT.glob(".ci/*")]
    return " ".join(" ".join(path.read_text().split()) for path in sorted(files))


def messages() -> list[str]:
    """Pieces of messages in the table of troubles."""
    table = (DOCS / "install.md").read_text().partition("## Trouble")[2]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    return [piece for cell in cells for piece in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("piece", [piece for piece in messages() if "appliance.yaml:" not in piece and piece != "dig"])
def test_the_messages_in_the_table_of_troubles_are_real(piece: str) -> None:
    assert piece in all_source()


# Drawings


@pytest.mark.parametrize("drawing", sorted((DOCS / "images").glob("*.svg")), ids=name_of)
def test_a_drawing_says_in_words_what_it_shows(drawing: Path) -> None:
    root = ElementTree.parse(drawing).getroot()
    space = "{http://www.w3.org/2000/svg}"
    for part in ("title", "desc"):
        assert (root.findtext(f"{space}{part}") or "").strip()
    assert root.get("viewBox", "").startswith("0 0 800 ")
    assert not any(part in drawing.read_text() for part in ("<script", "href", "url(http"))


def test_the_picture_of_the_readme_is_small() -> None:
    assert (DOCS / "images" / "capture.png").stat().st_size < 200_000
