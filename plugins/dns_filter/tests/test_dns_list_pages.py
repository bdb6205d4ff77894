"""The pages of lists, asked for over HTTP from the real server, and looked at once in a real browser."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page

from appliance.access import Role
from appliance.testing import Client, Home, Running, free_port, start_in_process
from appliance_plugins.dns_filter.lists.copies import FEW, ListUnreadable
from appliance_plugins.dns_filter.lists.fetching import Fetched, Fetcher, Known, Unreachable
from appliance_plugins.dns_filter.lists.room import Lists

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = "/dns_filter/lists"
URL = "https://lists.example/games.txt"


class Shelf(Fetcher):
    """Gives what lies on it, as a keeper’s server would; the real one is tested where lists are fetched."""

    def __init__(self) -> None:
        super().__init__("", 1_000_000, ())
        self.content: dict[str, bytes] = {}

    async def fetch(self, url: str, known: Known, into: Path, progress: Callable[[int, int], None]) -> Fetched:
        if url not in self.content:
            raise Unreachable("lists.example answers 404 Not Found.", "Try again later.")
        into.write_bytes(self.content[url])
        return Fetched(True, sha256=hashlib.sha256(self.content[url]).hexdigest())


def words(page: str) -> str:
    """The page without its markup, as it reads."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


async def get(who: Client, path: str, status: int = 200) -> str:
    answer = await who.get(path)
    assert answer.status == status, answer.text
    return words(answer.text)


async def post(who: Client, path: str, status: int = 200, **fields: str) -> str:
    """What the form answers, or the page that it leads to."""
    answer = await who.post(path, fields)
    if answer.status == 303:
        return await get(who, answer.headers["Location"])
    assert answer.status == status, answer.text
    return words(answer.text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One appliance for all tests here, and IT: each test uses lists of its own."""
    folder = tmp_path_factory.mktemp("lists") / "home"
    (folder / "locked-lists").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "ads.txt").write_text("ads.example\nnonsense\nmore.example\n")
    (folder / "help_seeking.yaml").write_text("places: [{host: help.example, name: Somebody, why: Help.}]\n")
    home = Home(folder, free_port(), free_port())
    home.write("plugins: {dns_filter: {lists: [{name: ads, file: ads.txt}]}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest.fixture
def lists(it: Running) -> Lists:
    return it.appliance.plugins._registered["dns_filter"].plugin.lists  # type: ignore[union-attr,no-any-return]


@pytest.fixture
def shelf(lists: Lists) -> Shelf:
    found = Shelf()
    assert lists.catalogue is not None
    lists.catalogue._fetcher = found
    return found


async def settled(lists: Lists) -> None:
    """Wait for what was begun in the background."""
    for task in tuple(lists._tasks):
        await task


async def audit(it: Running, subject: str) -> list[tuple[str, str]]:
    rows = await it.appliance.audit.rows(None, 50)
    return [(row["actor"], row["action"]) for row in rows if row["subject"] == subject]


async def test_the_page_shows_lists_and_what_blocks_nothing_yet(it: Running) -> None:
    page = await get(it, LISTS)
    assert "Categories that block nothing yet" in page
    assert "Gambling Betting, casinos, lotteries and games for money. Blocks nothing yet" in page
    assert "HaGeZi: gambling : kept by HaGeZi, GPL-3.0, over 200,000 names." in page
    assert "There is no public list, and there must not be one." in page
    assert "ads In force Not sorted 2" in page
    assert "Our own selection: Public name servers over HTTPS and TLS; Relays" in page
    detail = await get(it, f"{LISTS}/ads")
    assert "Line 2: 'nonsense' is a single word" in detail


async def test_the_lead_sees_the_lists_and_changes_none(it: Running) -> None:
    lead = await it.as_role(Role.LEAD, name="Lena Lead")
    page = await get(lead, LISTS)
    assert "Add a list" not in page
    assert "Look again now" not in await get(lead, f"{LISTS}/ads")
    await get(lead, "/dns_filter/add_list", status=403)
    await post(lead, f"{LISTS}/ads/look", status=403)
    await get(await it.as_role(Role.TEACHER, name="Tom Teacher"), LISTS, status=403)


async def test_a_known_list_is_added_with_a_reason_taken_out_and_put_back(
    it: Running, lists: Lists, shelf: Shelf
) -> None:
    form = await get(it, "/dns_filter/add_list?source=hagezi-gambling")
    assert "Kept by HaGeZi, GPL-3.0, over 200,000 names." in form
    url = "https://raw.githubusercontent.com/hagezi/dns-blocklists/main/wildcard/gambling.txt"
    shelf.content[url] = b"*.bets.example\ncom\n"
    fields = {"source": "hagezi-gambling", "name": "hagezi-gambling", "url": url}
    fields |= {"format": "domains", "category": "gambling"}
    assert "Say why" in await post(it, "/dns_filter/add_list", status=422, **fields)
    page = await post(it, "/dns_filter/add_list", **fields, reason="For all pupils")
    assert "The list hagezi-gambling was added." in page
    await settled(lists)
    assert lists.facts()["hagezi-gambling"].category == "gambling"
    assert lists.facts()["hagezi-gambling"].title == "HaGeZi: gambling"
    page = await get(it, LISTS)
    assert "Gambling Betting" not in page
    before = lists.table()
    assert "Say why" in await post(it, f"{LISTS}/hagezi-gambling/remove", status=422)
    page = await post(it, f"{LISTS}/hagezi-gambling/remove", reason="Blocks too much")
    assert "taken out by Ida Technician" in page
    assert "Blocks too much" in page
    assert "hagezi-gambling" not in lists.facts()
    assert lists.table() != before
    (row,) = await lists.store.removed()
    page = await post(it, "/dns_filter/restore_list", id=row["id"])
    await settled(lists)
    assert "hagezi-gambling" in lists.facts()
    added, taken = ("Ida Technician", "chose a web filter list"), ("Ida Technician", "took out a web filter list")
    assert await audit(it, "hagezi-gambling") == [added, taken, added]


async def test_what_is_typed_stays_until_it_is_right(it: Running) -> None:
    right = {"name": "games", "url": URL, "format": "auto", "category": "games", "reason": "Lessons"}
    for field, value, error in (
        ("url", "http://lists.example/a", "This is not an address to fetch from"),
        ("url", "https://user:secret@lists.example/a", "user name or password"),
        ("name", "Not A Name", "Give a name of small letters"),
        ("name", "ads", "There is a list of this name already"),
        ("name", "locked-iwf", "the name is kept for another use"),
        ("category", "nonsense", "Choose what the list is about"),
        ("format", "nonsense", "Choose how the list is written"),
        ("sha256", "abc", "A SHA-256 has 64"),
        ("reason", " ", "Say why"),
    ):
        answer = await it.post("/dns_filter/add_list", {**right, field: value})
        assert (answer.status, error in words(answer.text)) == (422, True), error
        assert 'value="Lessons"' in answer.text or field == "reason"


async def test_mistakes_of_the_form_are_told_in_its_order_and_in_words(it: Running) -> None:
    answer = await it.post("/dns_filter/add_list", {"format": "nonsense"})
    told = re.findall(r'<a href="#(\w+)">', answer.text)
    assert [one for one in told if one != "main"] == ["url", "name", "category", "format", "reason"]
    assert "Type the address of the list. It starts with https://." in words(answer.text)
    assert "&#39;&#39;" not in answer.text


async def test_a_list_without_a_reason_is_told_beside_the_field_of_its_form(it: Running, lists: Lists) -> None:
    assert lists.catalogue is not None
    for form in ("remove", "back", "accept"):
        answer = await it.post(f"{LISTS}/ads/{form}", {"reason": " "})
        assert answer.status == 422
        assert f'<a href="#{form}-reason">' in answer.text
        assert '<a href="#reason">' not in answer.text


async def test_the_number_of_websites_is_that_of_the_table(it: Running, lists: Lists) -> None:
    assert lists.catalogue is not None
    assert lists.catalogue.names == sum(each.names for each in lists.facts().values())
    page = await get(it, LISTS)
    assert f"All lists together name {lists.catalogue.names:,} websites." in page


async def test_a_list_that_shrank_is_an_alarm_until_somebody_accepts_it(
    it: Running, lists: Lists, shelf: Shelf
) -> None:
    shelf.content[URL] = "\n".join(f"g{number}.example" for number in range(FEW * 2)).encode()
    fields = {"name": "games", "url": URL, "format": "auto", "category": "games"}
    await post(it, "/dns_filter/add_list", **fields, reason="Lessons")
    await settled(lists)
    shelf.content[URL] = b"g1.example\n"
    await post(it, f"{LISTS}/games/look")
    await settled(lists)
    (check,) = [each for each in await lists.health() if each.name == "Web filter list games"]
    assert (check.state.value, check.words) == (
        "broken", "It shrank by half or more: games would have 1 names instead of 200. The old copy stays in force.",
    )  # fmt: skip
    assert "Take the smaller copy after all" in await get(it, f"{LISTS}/games")
    page = await post(it, f"{LISTS}/games/accept", reason="The keeper cleaned up")
    assert "The copy of games with 1 names is in force now." in page
    page = await post(it, f"{LISTS}/games/back", reason="It blocked too little")
    assert "The copy of games with 200 names is back." in page
    assert [action for _, action in await audit(it, "games")] == [
        "went back to the web filter list from before", "accepted a smaller web filter list", "chose a web filter list",
    ]  # fmt: skip
    assert "There is no copy from before" in await post(it, f"{LISTS}/games/back", status=422, reason="Again")


async def test_an_address_that_does_not_answer_is_said_on_the_page(it: Running, lists: Lists, shelf: Shelf) -> None:
    await post(it, "/dns_filter/add_list", name="away", url=URL, format="auto", category="dating", reason="Lessons")
    await settled(lists)
    page = await get(it, f"{LISTS}/away")
    assert "lists.example answers 404 Not Found." in page
    assert "Looked at never with success; tried in vain" in page
    assert "last good copy" not in page, "there is none"
    assert "Dating Sites and apps for meeting partners. Blocks nothing yet" in await get(it, LISTS)
    await get(it, f"{LISTS}/nothing", status=404)


async def test_a_locked_list_has_no_switch_and_shows_nothing_of_what_it_names(it: Running, lists: Lists) -> None:
    folder = it.appliance.config.place.resolve(Path("locked-lists"))
    (folder / "iwf.txt").write_text("abuse.example\nabuse nonsense\n")
    (folder / "iwf.yaml").write_text("title: Abuse images\nprovider: Example Filtering Ltd\ncategory: child_abuse\n")
    await lists.refresh()
    page = await get(it, f"{LISTS}/locked-iwf")
    assert "Handed over by Example Filtering Ltd. Nobody can switch it off" in page
    assert "abuse.example" not in page
    assert "nonsense" not in page
    for what in ("accept", "back", "remove"):
        await post(it, f"{LISTS}/locked-iwf/{what}", status=422, reason="I want to")
    for path in folder.iterdir():
        path.unlink()
    await lists.refresh()
    assert lists.facts()["locked-iwf"].locked
    (check,) = [each for each in await lists.health() if "locked-iwf" in each.name]
    assert (check.state.value, "The last good copy stays in force." in check.words) == ("broken", True)


async def test_a_list_that_cannot_be_put_together_is_an_alarm(lists: Lists) -> None:
    assert lists.catalogue is not None
    lists.catalogue.table_trouble = ListUnreadable("The disk is full.", "Look at the disk.")
    checks = {each.name: each for each in await lists.health()}
    lists.catalogue.table_trouble = None
    assert "What was in force before stays." in checks["Web filter table"].words


async def look(page: Page, path: str) -> None:
    """No barrier that axe can find, and nothing wider than a phone."""
    assert not await barriers(page)
    for width in (375, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)


async def test_the_pages_are_clicked_and_have_no_barriers(it: Running, lists: Lists, shelf: Shelf) -> None:
    source = "https://raw.githubusercontent.com/StevenBlack/hosts/master/alternates/social-only/hosts"
    shelf.content[source] = b"0.0.0.0 chat.example\n0.0.0.0\n1.2.3.4 real.example\n"
    base = f"http://staff.localhost:{it.port}"
    cookie = {"Cookie": f"__Host-session={it.cookie}"}
    async with a_chromium() as browser:
        page = await (await browser.new_context(bypass_csp=True, extra_http_headers=cookie)).new_page()
        await page.goto(f"{base}{LISTS}")
        await look(page, "lists")
        await page.locator("tr", has_text="Social media").get_by_text("known list").click()
        await page.get_by_role("link", name="StevenBlack: social media").click()
        await page.get_by_role("button", name="Add it").click()
        await look(page, "an error")
        await page.get_by_label("Why").fill("A rule of the school")
        await page.get_by_role("button", name="Add it").click()
        await settled(lists)
        await page.goto(f"{base}{LISTS}/stevenblack-social")  # a redirect leaves the header with the cookie behind
        await page.get_by_text("1 line").click()
        assert "the address 1.2.3.4 is a real one" in await page.locator("main").inner_text()
        await look(page, "one list")
