"""What the extension reads, pictures and leaves alone, in a real Chromium that got it by policy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from managed_chromium import ManagedChromium, focus, managed_chromium, school_policy, why_not
from playwright.async_api import Frame, Page
from protocol_box import TOKEN, ProtocolBox, Received

from appliance.keys_on_disk import ExtensionKey

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

HOSTS = {f"{name}.test": "127.0.0.1" for name in ("forum", "search", "chat", "childline", "help.childline", "box")}
TERM = "want to die"
MARK = "buy a knife"
FIELDS = """<!doctype html><title>Fields</title>
<input id="line"><textarea id="lines"></textarea><div id="rich" contenteditable>Dear </div>
<iframe srcdoc="<input id=inner>"></iframe><iframe id="blank"></iframe><div id="host"></div>
<script>
  document.querySelector('#blank').contentDocument.body.innerHTML = '<input id=blank-inner>';
  const closed = document.querySelector('#host').attachShadow({ mode: 'closed' });
  closed.innerHTML = '<input id=closed>';
  globalThis.closedInput = closed.querySelector('input');
</script>"""
CHAT = """<!doctype html><title>Chat</title><textarea id="say"></textarea><button id="send">Send</button>
<script>
  const say = document.querySelector('#say');
  say.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') { event.preventDefault(); say.value = ''; }
  });
  document.querySelector('#send').addEventListener('mousedown', (event) => { event.preventDefault(); say.value = ''; });
</script>"""
EDITOR = """<!doctype html><title>Editor</title><canvas id="shown"></canvas>
<textarea id="keys"></textarea>
<script>
  const keys = document.querySelector('#keys');
  keys.addEventListener('input', () => { keys.value = ''; });
</script>"""
SECRETS = """<!doctype html><title>Secrets</title><form onsubmit="return false">
<input id="password" type="password"><button type="button" onclick="password.type = 'text'">Show</button>
<input id="code" autocomplete="one-time-code" maxlength="6"><input id="card" autocomplete="section-a cc-number">
<input id="dots" style="-webkit-text-security: disc">
<input id="plain"></form>"""

OFTEN_SAID = """<!doctype html><title>Not for browsers to fill in</title>
<input id="subject" autocomplete="new-password"><input id="message" autocomplete="one-time-code">
<textarea id="story" autocomplete="one-time-code"></textarea>
<textarea id="diary" autocomplete="new-password"></textarea>
<div id="rich" contenteditable autocomplete="new-password"></div>"""
STOPS = """<!doctype html><title>Stops</title><script>
  const all = ['beforeinput', 'input', 'keydown', 'keyup', 'compositionend', 'pointerdown', 'focusout', 'submit'];
  for (const name of all) addEventListener(name, (event) => event.stopImmediatePropagation(), true);
</script><input id="line">"""
TAKES_KEYS = """<!doctype html><title>Takes keys</title><canvas id="down" tabindex="0"></canvas>
<div id="press" contenteditable></div><input id="password" type="password">
<script>
  for (const [name, id] of [['keydown', 'down'], ['keypress', 'press'], ['keydown', 'password']])
    document.getElementById(id).addEventListener(name, (event) => event.preventDefault());
</script>"""
CALLED_AS_PAGES_LIKE = f"""<!doctype html><title>Names</title><img name="body"><img name="readyState">
<form name="querySelectorAll"></form><form name="visibilityState"></form>
<form><input name="tagName"><input name="firstChild"><input name="nextSibling"><input name="nodeType">
<input name="shadowRoot"><input name="querySelectorAll"><input name="isContentEditable"><p>In it they {TERM}</p></form>
<p>After it I {TERM} as well</p><input id="password" type="password"><textarea id="lines"></textarea>
<button type="button" onclick="document.querySelector.call(document, '#password').type = 'text'">Show</button>"""


@dataclass
class School:
    """A box that speaks the protocol, and a browser that it looks after."""

    box: ProtocolBox
    browser: ManagedChromium

    async def open(self, host: str, path: str = "/") -> Page:
        return await self.browser.new_page(f"http://{host}:{self.box.port}{path}")

    async def received(self, surface: str, count: int = 1) -> list[Received]:
        """The first ``count`` of a surface. That there are no more is found by ``nothing_but``."""
        await self.box.until(lambda: len(self.box.of(surface)) >= count)
        return self.box.of(surface)

    async def nothing_but(self, *surfaces: str) -> None:
        """Write something that is noticed elsewhere: whatever went before it has been noticed by then, if ever."""
        page = await self.open("forum.test", "/fields")
        await page.locator("#line").press_sequentially(MARK)
        await page.locator("#line").press("Tab")
        await self.box.until(lambda: any(MARK in one.content["text"] for one in self.box.of("typed")))
        others = [one.content["surface"] for one in self.box.received if MARK not in one.content["text"]]
        assert sorted(others) == sorted(surfaces)
        await page.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[School]:
    folder = tmp_path_factory.mktemp("school")
    box = ProtocolBox(ExtensionKey.open(folder / "trust"), own=("box.test",))
    await box.start()
    box.pages.update({"/fields": FIELDS, "/chat": CHAT, "/editor": EDITOR, "/secrets": SECRETS})
    box.pages.update({"/often-said": OFTEN_SAID, "/stops": STOPS, "/takes-keys": TAKES_KEYS})
    box.pages.update({"/names": CALLED_AS_PAGES_LIKE})
    policy = school_policy(box.key.extension_id, box.url, TOKEN)
    async with managed_chromium(folder / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await browser.new_page(f"http://forum.test:{box.port}/fields")
        async with asyncio.timeout(60):
            while not box.received:  # from now on the policy is there
                await page.locator("#line").fill("")
                await page.locator("#line").press_sequentially(MARK)
                await page.locator("#line").press("Enter")
                await asyncio.sleep(0.1)
        await page.locator("#line").fill("")
        await page.locator("#line").press_sequentially(f"{MARK}, for the last time")
        await page.locator("#line").press("Enter")
        await box.until(lambda: "last time" in box.received[-1].content["text"])  # so nothing of this comes later
        await page.close()
        yield School(box, browser)
    await box.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def school(running: School) -> AsyncIterator[School]:
    running.box.received.clear()
    yield running
    for page in running.browser.context.pages[1:]:
        await page.close()


async def colour(page: Page, picture: bytes) -> list[int]:
    """The colour in the middle of a picture."""
    return await page.evaluate(
        """async (letters) => {
            const bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0));
            const shot = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
            const canvas = new OffscreenCanvas(shot.width, shot.height);
            const context = canvas.getContext('2d');
            context.drawImage(shot, 0, 0);
            return Array.from(context.getImageData(shot.width / 2, shot.height / 2, 1, 1).data.slice(0, 3));
        }""",
        base64.b64encode(picture).decode(),
    )


# Typing


async def test_what_is_typed_is_noticed_in_every_kind_of_field(school: School) -> None:
    page = await school.open("forum.test", "/fields")
    blank = next(frame for frame in page.frames if frame != page.main_frame and frame.url == "about:blank")
    inner = next(frame for frame in page.frames if frame.url == "about:srcdoc")
    places: list[tuple[Page | Frame, str]] = [
        (page, "#line"),
        (page, "#lines"),
        (page, "#rich"),
        (inner, "#inner"),
        (blank, "#blank-inner"),
    ]
    for number, (where, field) in enumerate(places, 1):
        await where.locator(field).click()
        await page.keyboard.type(f"I {TERM} in {field}")
        found = await school.received("typed", number)
        assert f"{TERM} in {field}" in found[-1].content["text"].replace("\u00a0", " ")
        assert found[-1].content["title"] == "Fields"
        assert found[-1].content["address"] == f"http://forum.test:{school.box.port}/fields"
        assert found[-1].content["picture"] == "taken"
    await page.evaluate("closedInput.focus()")
    await page.keyboard.type(f"I {TERM} in a closed root")
    await school.received("typed", len(places) + 1)
    await school.nothing_but(*["typed"] * (len(places) + 1))


async def test_what_is_sent_at_once_is_noticed_and_the_same_words_in_a_new_message_again(school: School) -> None:
    page = await school.open("chat.test", "/chat")
    for _ in range(2):
        await page.locator("#say").press_sequentially(TERM)
        await page.locator("#say").press("Enter")
    await page.locator("#say").press_sequentially(f"I {TERM}")
    await page.locator("#send").click()
    found = await school.received("typed", 3)
    assert [one.content["text"] for one in found] == [TERM, TERM, f"I {TERM}"]
    await school.nothing_but("typed", "typed", "typed")


async def test_what_stays_in_a_field_is_noticed_once_while_more_is_written(school: School) -> None:
    page = await school.open("forum.test", "/fields")
    await page.locator("#lines").press_sequentially(f"I {TERM}. ")
    await school.received("typed")
    await page.locator("#lines").press_sequentially("That is all.")
    await page.locator("#line").click()  # leaves the field
    await page.locator("#lines").press_sequentially(f" I really {TERM}.")
    await school.received("typed", 2)
    await school.nothing_but("typed", "typed")


async def test_an_editor_that_draws_what_is_typed_is_read_by_its_keys(school: School) -> None:
    page = await school.open("forum.test", "/editor")
    await page.locator("#keys").press_sequentially(f"Sometimes I {TERM}", delay=10)
    found = await school.received("typed")
    assert found[0].content["text"] == f"Sometimes I {TERM}"
    await school.nothing_but("typed")


async def test_a_page_that_is_left_at_once_loses_nothing(school: School) -> None:
    page = await school.open("forum.test", "/fields")
    await page.locator("#line").press_sequentially(TERM)
    await page.goto(f"http://chat.test:{school.box.port}/chat")
    await school.received("typed")
    await school.nothing_but("typed")


async def test_somebody_who_never_pauses_is_read_all_the_same(school: School) -> None:
    page = await school.open("forum.test", "/fields")
    typing = asyncio.create_task(page.locator("#lines").press_sequentially(f"{TERM} {'and ' * 40}", delay=50))
    found = await school.received("typed")
    assert not typing.done()
    assert TERM in found[0].content["text"]
    await typing


async def test_a_page_that_stops_all_events_hides_nothing(school: School) -> None:
    page = await school.open("forum.test", "/stops")
    await page.locator("#line").press_sequentially(f"I {TERM}")
    await page.locator("#line").press("Enter")
    assert (await school.received("typed"))[0].content["text"] == f"I {TERM}"
    await school.nothing_but("typed")


async def test_what_is_typed_before_anything_may_be_read_is_read_then(school: School) -> None:
    school.box.pages["/at-once"] = """<!doctype html><title>At once</title><input id="line"><input id="next">"""
    page = await school.browser.context.new_page()
    client = await page.context.new_cdp_session(page)
    await page.goto(f"http://forum.test:{school.box.port}/at-once", wait_until="commit")
    for field in ("line", "next"):
        await focus(client, field)
        await client.send("Input.insertText", {"text": f"In the {field} I {TERM}"})  # all of it with one event
    assert {one.content["text"] for one in await school.received("typed", 2)} == {
        f"In the line I {TERM}",
        f"In the next I {TERM}",
    }


async def test_a_page_that_writes_itself_anew_is_read_all_the_same(school: School) -> None:
    page = await school.open("chat.test", "/chat")
    await page.evaluate("""() => {
        document.open();
        document.write('<!doctype html><title>Anew</title><p id=text>Anew</p><input id=line>');
        document.close();
    }""")
    await page.evaluate(f"document.querySelector('#text').textContent = 'They {TERM}'")
    await school.received("page")
    await page.locator("#line").press_sequentially(f"I {TERM}")
    assert (await school.received("typed"))[0].content["text"] == f"I {TERM}"


async def test_an_editor_that_takes_each_key_itself_is_read_by_the_keys(school: School) -> None:
    page = await school.open("forum.test", "/takes-keys")
    for number, field in enumerate(("#down", "#press")):
        await page.locator(field).focus()
        await page.keyboard.type(f"Sometimes I {TERM[:-1]}x")
        await page.keyboard.press("Backspace")
        await page.keyboard.press("Control+b")
        await page.keyboard.type("e")
        found = await school.received("typed", 2 * number + 1)
        assert found[-1].content["text"] == f"Sometimes I {TERM}"
        await page.keyboard.press("Enter")
        await page.keyboard.type(f"And now I {TERM}")
        found = await school.received("typed", 2 * number + 2)
        assert found[-1].content["text"] == f"And now I {TERM}"
    await page.locator("#password").focus()
    await page.keyboard.type(f"I {TERM}")
    await page.keyboard.press("Enter")
    await school.nothing_but(*["typed"] * 4)


# Secrets


async def test_what_a_page_only_says_to_keep_browsers_from_filling_in_is_no_secret(school: School) -> None:
    page = await school.open("forum.test", "/often-said")
    for number, field in enumerate(("#subject", "#message", "#story", "#diary", "#rich"), 1):
        await page.locator(field).press_sequentially(f"I {TERM} in {field}")
        found = await school.received("typed", number)
        assert found[-1].content["text"].replace("\u00a0", " ") == f"I {TERM} in {field}"
        assert found[-1].content["picture"] == "taken"


async def test_a_secret_field_is_never_read_whatever_it_looks_like_later(school: School) -> None:
    page = await school.open("forum.test", "/secrets")
    for field in ("#password", "#code", "#card", "#dots"):
        await page.locator(field).press_sequentially(TERM)
    await page.locator("button").click()
    await page.locator("#password").press_sequentially(f" and {TERM}")
    await page.locator("#password").press("Enter")
    await school.nothing_but()


async def test_there_is_no_picture_while_a_password_can_be_read(school: School) -> None:
    page = await school.open("forum.test", "/secrets")
    await page.locator("#password").press_sequentially("hunter2")
    await page.locator("#plain").press_sequentially(TERM)
    assert (await school.received("typed"))[0].content["picture"] == "taken"  # dots cannot be read
    await page.locator("button").click()
    await page.locator("#plain").fill("")
    await page.locator("#plain").press_sequentially(TERM)
    found = (await school.received("typed", 2))[1]
    assert (found.content["picture"], found.picture) == ("secret", b"")
    assert "hunter2" not in str(school.box.received)


# Pages


async def test_the_text_of_a_page_is_read_when_it_is_there_and_when_it_comes(school: School) -> None:
    school.box.pages["/page"] = f"""<!doctype html><title>Page</title><p>They <b>wa</b>nt to <i>die</i>.</p>
        <p hidden>I {TERM}</p><div style="visibility: hidden">I {TERM}</div><style>.want.to.die {{}}</style>
        <div>want</div><div>to</div><span id="late"></span>"""
    page = await school.open("forum.test", "/page")
    first = (await school.received("page"))[0].content
    assert first["text"] == "They want to die.\nwant\nto"
    assert first["picture"] == "taken"
    await page.evaluate(f"late.textContent = 'Also I {TERM}'")
    found = await school.received("page", 2)
    assert f"Also I {TERM}" in found[1].content["text"]
    await page.evaluate("""() => {
        const root = document.body.appendChild(document.createElement('div')).attachShadow({ mode: 'closed' });
        root.innerHTML = '<p>Now I want to die in a closed root</p>';
    }""")
    await school.received("page", 3)
    await page.evaluate("late.append(' and something else')")
    await school.nothing_but("page", "page", "page")


async def test_a_page_may_call_its_fields_what_it_likes(school: School) -> None:
    page = await school.open("forum.test", "/names")
    text = (await school.received("page"))[0].content["text"]
    assert f"In it they {TERM}" in text
    assert f"After it I {TERM} as well" in text
    await page.locator("#password").fill("hunter2")
    await page.locator("button").click()
    await page.locator("#lines").press_sequentially(f"I {TERM}")
    assert (await school.received("typed"))[0].content["picture"] == "secret"
    await page.evaluate("""() => {
        const form = Object.assign(document.createElement('form'), {
            innerHTML: '<input name=querySelectorAll><input name=firstChild>They want to die again' });
        const section = document.createElement('section');
        section.append(form);
        Object.getOwnPropertyDescriptor(Document.prototype, 'body').get.call(document).append(section);
    }""")
    assert "They want to die again" in (await school.received("page", 2))[1].content["text"]


async def test_half_a_character_never_leaves(school: School) -> None:
    title = f"I {TERM} ".ljust(499, "a") + "\N{GRINNING FACE}" * 3
    address = f"/{TERM.replace(' ', '-')}/" + "b" * 4_000
    school.box.pages["/half"] = f"<!doctype html><title>{title}</title><p>I {TERM}</p>"
    await school.open("forum.test", f"/half?{address}")
    for surface in ("title", "page", "address"):
        content = (await school.received(surface))[0].content
        assert content["title"].encode()  # half a character cannot be written
        assert content["address"].encode()
        assert content["text"].encode()
    assert school.box.of("title")[0].content["title"] == title[:499] + "\N{REPLACEMENT CHARACTER}"


async def test_only_a_piece_of_a_long_page_leaves_the_device(school: School) -> None:
    school.box.pages["/long"] = f"<!doctype html><p>{'far away ' * 2000}</p><p>I {TERM}</p><p>{'further ' * 2000}"
    await school.open("forum.test", "/long")
    text = (await school.received("page"))[0].content["text"]
    assert TERM in text
    assert 3_900 <= len(text) <= 4_000


async def test_addresses_searches_and_titles_are_noticed_with_a_picture_of_what_came(school: School) -> None:
    school.box.pages["/results"] = (
        "<!doctype html><title>Ten ways - I want to die</title><body style='background: rgb(200, 30, 60)'>"
    )
    page = await school.open("search.test", "/results?q=how+i+want%20to%20die&hl=en")
    search = (await school.received("search"))[0]
    title = (await school.received("title"))[0]
    assert search.content["text"] == "how i want to die"
    assert search.content["address"].endswith("/results?q=how+i+want%20to%20die&hl=en")
    assert search.content["title"] == title.content["title"] == title.content["text"] == "Ten ways - I want to die"
    assert search.content["picture"] == title.content["picture"] == "taken"
    red, green, blue = await colour(page, search.picture)
    assert abs(red - 200) < 12
    assert abs(green - 30) < 12
    assert abs(blue - 60) < 12
    for words in ("Home", "(1) I want to die", "Home"):  # as chats do
        await page.evaluate(f"document.title = '{words}'")
    await page.evaluate("history.pushState(null, '', '/about/want-to-die')")
    await school.received("address")
    await school.nothing_but("search", "title", "address")


async def test_a_tab_behind_is_noticed_without_a_picture_of_the_one_in_front(school: School) -> None:
    school.box.pages["/behind"] = (
        "<!doctype html><title>Behind</title><script>"
        f"addEventListener('message', () => document.title = 'I {TERM}')</script>"
    )
    behind = await school.open("forum.test", "/behind")
    await school.open("forum.test", "/fields")
    await behind.evaluate("postMessage(1)")
    found = (await school.received("title"))[0]
    assert (found.content["picture"], found.picture) == ("hidden", b"")


async def test_tabs_behind_take_no_place_where_pictures_wait(school: School) -> None:
    behind = await school.open("forum.test", "/page-behind")
    page = await school.open("forum.test", "/fields")
    await page.locator("#line").press_sequentially(TERM[:-1])
    for number in range(14):
        await behind.evaluate(f"history.pushState(null, '', '/want-to-die/{chr(97 + number) * 50}')")
        await behind.wait_for_timeout(50)  # so that each is a page of its own
    await page.locator("#line").press_sequentially(TERM[-1])
    await page.locator("#line").press("Tab")
    assert (await school.received("typed"))[0].content["picture"] == "taken"
    assert {one.content["picture"] for one in await school.received("address", 14)} == {"hidden"}


async def test_what_a_page_shows_takes_away_and_shows_again_is_noticed_once(school: School) -> None:
    school.box.pages["/flickers"] = "<!doctype html><title>Flickers</title><p id=text></p>"
    page = await school.open("forum.test", "/flickers")
    for number in range(3):
        await page.evaluate(f"text.textContent = '{number} new: I {TERM}'")
        await page.evaluate(f"document.title = '({number}) I {TERM}'")
        await page.evaluate(f"history.pushState(null, '', '/flickers?q=I {TERM}')")
        await page.wait_for_timeout(700)  # longer than the pause in which a page is read
        await page.evaluate("text.textContent = document.title = 'nothing'")
        await page.evaluate("history.pushState(null, '', '/flickers')")
        await page.wait_for_timeout(700)
    await page.evaluate(f"history.pushState(null, '', '/flickers?q=how can I {TERM} today')")
    await school.received("search", 2)  # another search is another thing
    await school.nothing_but("page", "search", "search", "title")


# Places that are left alone


async def test_nothing_is_read_where_pupils_look_for_help_nor_in_frames_of_it(school: School) -> None:
    port = school.box.port
    frame = f"<iframe src='http://chat.test:{port}/fields'></iframe><iframe srcdoc='<input id=doc>'></iframe>"
    school.box.pages["/help"] = f"<!doctype html><title>I {TERM}</title><p>I {TERM}</p><input id=a>{frame}"
    for host in ("childline.test", "help.childline.test", "box.test"):
        page = await school.open(host, "/help?q=want+to+die")
        await page.locator("#a").press_sequentially(TERM)
        await page.frame_locator("iframe >> nth=0").locator("#line").press_sequentially(TERM)
        await page.frame_locator("iframe >> nth=1").locator("#doc").press_sequentially(TERM)
        await page.locator("#a").press("Enter")
    await school.nothing_but()


async def test_a_page_that_shows_a_place_of_help_in_a_frame_is_never_pictured(school: School) -> None:
    school.box.pages["/around"] = (
        f"<!doctype html><p>I {TERM}</p><iframe src='http://help.childline.test:{school.box.port}/'></iframe>"
    )
    await school.open("forum.test", "/around")
    found = (await school.received("page"))[0]
    assert (found.content["picture"], found.picture) == ("exempt", b"")


async def test_a_frame_of_a_place_of_help_that_nobody_can_see_does_not_keep_pictures_away(school: School) -> None:
    at = f"src='http://help.childline.test:{school.box.port}/'"
    school.box.pages["/unseen"] = f"""<!doctype html><p>I {TERM}</p><iframe {at} style="display: none"></iframe>
        <iframe {at} width="0" height="0" style="border: 0"></iframe>
        <div id="host"></div><iframe id="shown" {at} style="visibility: hidden"></iframe>
        <script>host.attachShadow({{ mode: 'closed' }}).innerHTML = `<iframe {at} style="opacity: 0"></iframe>`</script>
        <textarea id="lines"></textarea>"""
    page = await school.open("forum.test", "/unseen")
    assert (await school.received("page"))[0].content["picture"] == "taken"
    await page.evaluate("shown.style.visibility = 'visible'")
    await page.locator("#lines").press_sequentially(TERM)
    assert (await school.received("typed"))[0].content["picture"] == "exempt"
    school.box.pages["/gone"] = f"<script>location = '{at[5:-1]}'</script>"
    school.box.pages["/goes"] = f"<!doctype html><p>They {TERM}</p><iframe src='/gone'></iframe>"
    await school.open("chat.test", "/goes")
    assert (await school.received("page", 2))[1].content["picture"] == "exempt"


async def test_a_page_cannot_pretend_that_somebody_types(school: School) -> None:
    school.box.pages["/pretend"] = f"""<!doctype html><title>Pretend</title><input id=a><script>
        a.value = 'I {TERM}'; a.dispatchEvent(new InputEvent('input', {{ bubbles: true }}));
        dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter' }}));</script>"""
    await school.open("forum.test", "/pretend")
    await school.nothing_but()
