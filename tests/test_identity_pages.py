"""The pages about the identity file: three steps that cannot be skipped, for IT alone; the code is nowhere else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.identity.file import SealedIdentity
from appliance.sealing import new_recovery_key
from appliance.testing import HELP_SEEKING, Answer, Client, Home, Running, free_port, start_in_process

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATHS = ("/identity", "/identity/code", "/identity/print", "/identity/noted", "/identity/file", "/identity/kept")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING)
    home = Home(folder, free_port(), free_port())
    home.write("school: {name: Hill School}\n")
    running = await start_in_process(home)
    yield running
    await running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(running: Running) -> Client:
    """A browser of somebody in IT who has not begun yet."""
    return await running.as_role(Role.IT)


def text_of(answer: Answer) -> str:
    """What a reader sees, tags and runs of white space taken out."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def code_in(answer: Answer) -> str:
    found = re.search(r'<code class="secret">([^<]+)</code>', answer.text)
    assert found is not None
    return found[1]


async def begin(browser: Client) -> str:
    """Step 1 up to the code."""
    answer = await browser.post("/identity/code")
    assert (answer.status, answer.headers["Location"]) == (303, "/identity/code")
    return code_in(await browser.get("/identity/code"))


async def asked_back(browser: Client, code: str) -> dict[str, str]:
    """The fields that ask for groups, with the right answers."""
    form = await browser.get("/identity/noted")
    fields = re.findall(r'<input id="(group-(\d+))"', form.text)
    assert len(fields) == 2
    assert code not in form.text
    return {name: code.split()[int(number) - 1].lower() for name, number in fields}


async def download(browser: Client) -> tuple[str, Answer]:
    """Steps 1 and 2: the code and the file."""
    code = await begin(browser)
    answer = await browser.post("/identity/noted", await asked_back(browser, code))
    assert (answer.status, answer.headers["Location"]) == (303, "/identity/file")
    return code, await browser.post("/identity/file")


async def keepers_form(browser: Client) -> dict[str, str]:
    """Step 3 as it is sent when all is well."""
    found = re.search(r'name="id" value="([^"]+)"', (await browser.get("/identity/kept")).text)
    assert found is not None
    return {"id": found[1], "file_with": "Stick in the safe", "code_with": "The head", "away": "yes"}


async def test_the_whole_way(running: Running, browser: Client) -> None:
    assert "never saved" in text_of(await browser.get("/identity"))
    code, file = await download(browser)
    assert file.status == 200
    assert re.fullmatch(
        r'attachment; filename="safeguarding-appliance-\d{4}-\d\d-\d\d\.identity"', file.headers["Content-Disposition"]
    )
    assert file.headers["Cache-Control"] == "no-store"
    identity = SealedIdentity.read(file.text.encode()).open(code)
    assert identity.school == "Hill School"
    assert "nobody has said yet who keeps it" in text_of(await browser.get("/identity"))
    assert "Download it again" in (await browser.get("/identity/file")).text

    answer = await browser.post("/identity/kept", await keepers_form(browser))
    assert (answer.status, answer.headers["Location"]) == (303, "/identity")
    page = text_of(await browser.get("/identity"))
    assert "nothing in it has changed since" in page
    assert "The file is with Stick in the safe" in page
    assert "The code is with The head" in page
    await running.appliance.health.refresh()
    assert re.search(r"Identity file Saved on \d", text_of(await running.get("/status")))
    assert (await browser.get("/identity/code")).headers["Location"] == "/identity"
    rows = await running.appliance.audit.rows(None, 4)
    assert {row["actor"] for row in rows} == {browser.actor.name}
    assert len({row["action"] for row in rows}) == 4
    assert not any(group in str([tuple(row) for row in rows]) for group in code.split())


async def test_the_sheet_for_printing_has_no_navigation(browser: Client) -> None:
    code = await begin(browser)
    sheet = await browser.get("/identity/print")
    assert code_in(sheet) == code
    assert "<nav" not in sheet.text
    assert sheet.headers["Cache-Control"] == "no-store"


async def test_nothing_can_be_skipped(browser: Client) -> None:
    for path in PATHS[1:5]:
        assert (await browser.get(path)).headers["Location"] == "/identity"
        assert "quarter of an hour" in text_of(await browser.get("/identity"))
    assert (await browser.post("/identity/file")).headers["Location"] == "/identity"
    await begin(browser)
    assert (await browser.get("/identity/file")).headers["Location"] == "/identity/noted"
    assert (await browser.post("/identity/file")).headers["Location"] == "/identity/noted"


async def test_groups_that_were_not_noted_are_named_and_what_was_typed_stays(browser: Client) -> None:
    code = await begin(browser)
    right = await asked_back(browser, code)
    first, second = right
    answer = await browser.post("/identity/noted", {first: right[first], second: 'W"RNG'})
    assert answer.status == 422
    assert f'href="#{second}"' in answer.text
    assert f'href="#{first}"' not in answer.text
    assert f'value="{right[first]}"' in answer.text
    assert "W&#34;RNG" in answer.text
    assert code not in answer.text
    assert (await browser.post("/identity/file")).headers["Location"] == "/identity/noted"


async def test_another_browser_sees_nothing_of_the_code(running: Running, browser: Client) -> None:
    code = await begin(browser)
    other = await running.as_role(Role.IT)
    assert (await other.get("/identity/code")).headers["Location"] == "/identity"
    own = await begin(other)
    assert own != code
    assert code_in(await browser.get("/identity/code")) == code


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"file_with": " "}, "file_with", "Say who keeps the file"),
        ({"code_with": ""}, "code_with", "Say who keeps the code"),
        ({"code_with": "stick in the SAFE"}, "code_with", "Whoever has both"),
        ({"file_with": "x" * 101}, "file_with", "At most 100"),
        ({"away": ""}, "away", "somewhere else first"),
    ],
)
async def test_keepers_must_be_two_and_the_file_away(
    browser: Client, typed: dict[str, str], field: str, words: str
) -> None:
    await download(browser)
    right = await keepers_form(browser)
    answer = await browser.post("/identity/kept", {**right, **typed})
    assert answer.status == 422
    assert f'href="#{field}"' in answer.text
    assert words in text_of(answer)
    kept_words = {name: text for name, text in right.items() if name not in {"away", "id", *typed}}
    assert all(f'value="{text}"' in answer.text for text in kept_words.values())


async def test_the_code_itself_is_no_keeper_and_is_not_sent_back(browser: Client) -> None:
    await download(browser)
    for field in ("file_with", "code_with"):
        code = new_recovery_key()
        answer = await browser.post("/identity/kept", {**await keepers_form(browser), field: code})
        assert answer.status == 422
        assert "the code itself" in text_of(answer)
        assert code not in answer.text


async def test_a_form_that_was_sent_already_changes_nothing(browser: Client) -> None:
    await download(browser)
    form = await keepers_form(browser)
    assert (await browser.post("/identity/kept", form)).status == 303
    again = await browser.post("/identity/kept", {**form, "code_with": "Eve"})
    assert again.status == 409
    assert "Eve" not in (await browser.get("/identity")).text
    assert (await browser.get("/identity/kept")).headers["Location"] == "/identity"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.IT])
async def test_only_it_may(running: Running, role: Role) -> None:
    client = await running.as_role(role)
    for path in PATHS:
        assert (await client.get(path)).status == 403
    for path in ("/identity/code", "/identity/noted", "/identity/file", "/identity/kept"):
        assert (await client.post(path)).status == 403


async def test_the_status_page_leads_there(running: Running) -> None:
    assert 'href="/identity"' in (await running.get("/status")).text
