"""The parts of the extension one by one, as modules of a page in a browser."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from browsers import a_chromium
from playwright.async_api import Browser, Page
from protocol_box import EPOCH, VAULT, ProtocolBox, needles_of

from appliance.endpoints.messages import from_base64url
from appliance.keys_on_disk import ExtensionKey

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDING = json.loads((Path(__file__).parent / "vectors" / "folding.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> ProtocolBox:
    return ProtocolBox(ExtensionKey.open(tmp_path_factory.mktemp("parts") / "trust"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(box: ProtocolBox) -> AsyncIterator[str]:
    """Where the files of the extension are served beside an empty page."""
    files = box.files()
    types = {".js": "text/javascript", ".json": "application/json", ".png": "image/png"}

    async def serve(request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if not path:
            return web.Response(text="<!doctype html><title>Parts</title>", content_type="text/html")
        return web.Response(body=files[path], content_type=types[Path(path).suffix])

    application = web.Application()
    application.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, address: str) -> AsyncIterator[Page]:
    """A page that can import the modules of the extension, in a profile that has kept nothing yet."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(address)
    yield page
    await context.close()


async def test_words_are_folded_as_the_box_folds_them(page: Page) -> None:
    found = await page.evaluate(
        """async (texts) => {
            const { words } = await import('/plugins/keyword/main.js');
            const points = (text, end) => Array.from(text.slice(0, end)).length;
            return texts.map((text) =>
                words(text).map((word) => [word.text, points(text, word.start), points(text, word.end)]));
        }""",
        [vector["text"] for vector in FOLDING],
    )
    for vector, tokens in zip(FOLDING, found, strict=True):
        assert tokens == vector["tokens"], vector["about"]


async def test_needles_are_found_as_whole_words_on_their_surfaces(page: Page) -> None:
    found = await page.evaluate(
        """async ([policy, texts]) => {
            const { prepare } = await import('/plugins/keyword/main.js');
            const find = prepare(policy);
            return texts.map(([text, surface]) => find(text, surface).map(({ id, start, end }) =>
                [id, text.slice(start, end)]));
        }""",
        [
            needles_of(
                [
                    {"id": "1", "words": ["want", "to", "die"], "surfaces": ["typed", "page"]},
                    {"id": "2", "words": ["want"], "surfaces": ["typed"]},
                    {"id": "3", "words": [], "surfaces": ["typed"]},
                ]
            ),
            [
                ("I WANT — to\n\N{MATHEMATICAL BOLD SMALL D}ie!", "typed"),
                ("I want to die", "page"),
                ("I want to die", "title"),
                ("unwanted to diet", "typed"),
                ("want to", "page"),
                ("", "typed"),
            ],
        ],
    )
    bold = "WANT — to\n\N{MATHEMATICAL BOLD SMALL D}ie"
    assert found == [[["1", bold], ["2", "WANT"]], [["1", "want to die"]], [], [], [], []]


async def test_what_a_browser_seals_the_box_opens(page: Page, box: ProtocolBox) -> None:
    item, key = "0192f0a0-1111-4222-8333-444455556666", box.policy()["policy"]["intake"]["key"]
    for size in (0, 1, 180, 200, 70_000, 200_000):  # on both sides of where the padding grows
        envelope = await page.evaluate(
            """async ([item, vault, epoch, key, size]) => {
                const { seal } = await import('/seal.js');
                const { content } = await import('/noticing.js');
                const { fromBase64url, toBase64url } = await import('/bytes.js');
                const jpeg = new Uint8Array(size).map((_, at) => at % 251);
                const seen = { surface: 'typed', text: 'Zoë \\u{1f600}' };
                return toBase64url(await seal(content(seen, jpeg), item, { vault, epoch, key: fromBase64url(key) }));
            }""",
            [item, VAULT, EPOCH, key, size],
        )
        received = box.open(from_base64url(envelope))
        assert received.id == item
        assert received.content == {"surface": "typed", "text": "Zoë \U0001f600"}
        assert received.picture == bytes(at % 251 for at in range(size))


async def test_the_key_cannot_be_taken_out_and_two_calls_at_once_make_one(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { prove } = await import('/identity.js');
            const { within } = await import('/database.js');
            const proofs = await Promise.all([prove('a', 'AAAA'), prove('a', 'AAAA'), prove('a', 'AAAA')]);
            const { pair } = await within('identity', 'readonly', (store) => store.get('device'));
            const refused = await crypto.subtle.exportKey('pkcs8', pair.privateKey).catch((error) => error.name);
            return { keys: new Set(proofs.map(({ key }) => key)).size, refused,
                counters: proofs.map(({ counter }) => counter).sort() };
        }"""
    )
    assert found == {"keys": 1, "refused": "InvalidAccessError", "counters": [1, 2, 3]}


async def test_the_queue_keeps_the_newest_and_counts_what_it_drops(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { Queue } = await import('/queue.js');
            const queue = new Queue(3, 1000);
            const numbers = [];
            for (const id of ['a', 'b', 'c', 'd']) numbers.push(await queue.add(id, new Uint8Array(10)));
            const unfinished = await queue.next();
            for (const [at, id] of ['a', 'b', 'c', 'd'].entries()) await queue.finish(numbers[at], id);
            const first = await queue.next();
            await queue.finish(await queue.add('large', new Uint8Array(985)), 'large');
            const again = new Queue(3, 1000); // as after the browser was killed
            await again.open();
            const left = [];
            for (let next = await again.next(); next; next = await again.next()) {
                left.push([next.id, next.envelope.length]);
                await again.forget(next.number);
            }
            return { unfinished, first: first.id, left, dropped: again.dropped, length: again.length };
        }"""
    )
    # "b" was being sent when the large one came, so it was not dropped
    assert found == {
        "unfinished": None,
        "first": "b",
        "left": [["b", 10], ["large", 985]],
        "dropped": 3,
        "length": 0,
    }


async def test_only_so_many_observations_leave_in_a_minute_and_the_rest_is_counted(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { Noticing } = await import('/noticing.js');
            const { Queue } = await import('/queue.js');
            const queue = new Queue();
            const key = new Uint8Array(32).fill(9);
            const policy = {
                intake: { vault: '0192f0a0-0000-7000-8000-000000000001', epoch: 1, key },
                find: (text) => [{ key: 'x', start: 0, end: text.length }],
            };
            const pictures = { take: async () => ({ state: 'hidden', jpeg: null }) };
            const noticing = new Noticing({ policy, queue, pictures, connection: { drain: () => null } });
            const seen = { title: '', address: '', tabId: 1, page: {} };
            const title = (number) => ({ ...seen, surface: 'title', text: 'x'.repeat(number) });
            for (let number = 1; number <= 65; number++) await noticing.look(title(number));
            const flooded = [queue.length, queue.dropped];
            await noticing.look({ ...title(1), surface: 'typed' });
            await noticing.look({ ...title(1), surface: 'page' });
            await noticing.look({ ...title(1), tabId: 11 });
            noticing.closed(1);
            await noticing.look(title(1));
            return [...flooded, queue.length, queue.dropped];
        }"""
    )
    assert found == [60, 5, 64, 5]


async def test_a_hit_that_comes_back_is_no_news_but_more_of_it_and_something_else_is(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { Recent } = await import('/recent.js');
            const recent = new Recent();
            const hits = (text) => Array.from(text.matchAll(/knife/g), ({ index }) =>
                ({ key: 'x', start: index, end: index + 5 }));
            const look = (text, tabId = 1, surface = 'page', isNews = null) => {
                const fresh = hits(text).filter(recent.freshIn(tabId, surface, text, hits(text)));
                recent.remember(tabId, surface, text, hits(text), isNews ?? fresh.length > 0);
                return fresh.map(({ start }) => start);
            };
            const far = ' and nothing else of any interest at all ';
            return [look('1 knife'), look('nothing'), look('2   knife'),
                look('1 knife', 2), look('1 knife', 1, 'title'),
                look(`sharp knife${far}1 knife`), look(`knife${far}knife${far}knife`).length,
                look('lost knife', 1, 'page', false), look('lost knife')];
        }"""
    )
    assert found == [[2], [], [], [2], [2], [6, 54], 3, [5], [5]]


async def test_a_page_that_floods_the_queue_pushes_out_its_own_and_what_was_typed_goes_last(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { Queue } = await import('/queue.js');
            const queue = new Queue(5, 1_000_000);
            const add = async (source, id) => queue.finish(await queue.add(id, new Uint8Array(10), source), id);
            await add('1 typed', 'typed first');
            await add('2 title', 'another tab');
            for (let number = 0; number < 10; number++) await add('3 title', `flood ${number}`);
            await add('1 typed', 'typed');
            const again = new Queue(5, 1_000_000); // as after the browser was killed
            await again.open();
            const typed = async (id) => again.finish(await again.add(id, new Uint8Array(10), '4 typed'), id);
            for (const id of ['a', 'b', 'c']) await typed(id);
            const left = [];
            for (let next = await again.next(); next; next = await again.next()) {
                left.push(next.id);
                await again.forget(next.number);
            }
            return [left, again.dropped];
        }"""
    )
    assert found == [["typed first", "typed", "a", "b", "c"], 11]


# Where the disk fails


async def test_what_a_disk_does_not_take_waits_in_memory_and_what_it_lost_is_counted(page: Page) -> None:
    client = await page.context.new_cdp_session(page)
    origin = await page.evaluate("location.origin")
    await client.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 200_000})
    await page.evaluate(
        """async () => {
            const { Queue } = await import('/queue.js');
            globalThis.queue = new Queue();
            globalThis.add = async (id, size = 10) => queue.finish(await queue.add(id, new Uint8Array(size)), id);
            globalThis.ids = async () => {
                const found = [];
                for (let next = await queue.next(); next; next = await queue.next()) {
                    found.push(next.id);
                    await queue.forget(next.number);
                }
                return found;
            };
            await add('before');
        }"""
    )
    assert await page.evaluate(
        """async () => {
            for (let number = 0; number < 110; number++) await add(`${number}`, 300_000);
            return [queue.length, queue.dropped];
        }"""
    ) == [101, 10]
    assert await page.evaluate("ids()") == ["before", *map(str, range(10, 110))]
    await client.send("Storage.overrideQuotaForOrigin", {"origin": origin})
    await page.evaluate("add('lost')")
    await client.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "indexeddb"})
    assert await page.evaluate("add('new').then(ids)") == ["new"]
    assert await page.evaluate("[queue.length, queue.dropped]") == [0, 11]
    assert (
        await page.evaluate(
            """async () => {
            const { within } = await import('/database.js');
            return within('counts', 'readonly', (store) => store.get('dropped'));
        }"""
        )
        == 11
    )


async def test_a_queue_of_an_older_version_is_taken_over(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            await new Promise((resolve, reject) => {
                const request = indexedDB.open('device', 1);
                request.onupgradeneeded = () => {
                    request.result.createObjectStore('identity').put({ counter: 7, isKnown: true }, 'device');
                    const queue = request.result.createObjectStore('queue', { autoIncrement: true });
                    queue.createIndex('size', 'size');
                    queue.put({ id: 'old', envelope: new Uint8Array(10), size: 10 });
                    request.result.createObjectStore('counts').put(3, 'dropped');
                };
                request.onsuccess = () => resolve(request.result.close());
                request.onerror = reject;
            });
            const { Queue } = await import('/queue.js');
            const { isKnown } = await import('/identity.js');
            const queue = new Queue();
            return [(await queue.next()).id, queue.length, queue.dropped, await isKnown()];
        }"""
    )
    assert found == ["old", 1, 3, True]


async def test_pieces_hold_what_was_noticed_and_what_is_around_it(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { piecesAround, whatIsNew } = await import('/noticing.js');
            const text = '\\u{1f600}'.repeat(2500) + ' first ' + 'a '.repeat(3000) + 'second third';
            const at = (word) => ({ key: word, start: text.indexOf(word), end: text.indexOf(word) + word.length });
            const pieces = piecesAround(text, [at('first'), at('second'), at('third')]);
            const counted = whatIsNew([at('first'), at('first'), at('second')], { first: 1, second: 1 });
            return { pieces, news: counted.news.map(({ key }) => key), counts: counted.counts };
        }"""
    )
    first, second = found["pieces"]
    assert "first" in first
    assert "second third" in second
    assert all(len(piece.encode("utf-16-le")) <= 8000 for piece in found["pieces"])
    assert "\ufffd" not in first[1:-1]
    assert (found["news"], found["counts"]) == (["first"], {"first": 2, "second": 1})


async def test_places_are_hosts_and_everything_below(page: Page) -> None:
    found = await page.evaluate(
        """async () => {
            const { Places } = await import('/places.js');
            const places = new Places(['childline.org.uk', '10.0.0.5']);
            return ['https://childline.org.uk/a', 'http://www.childline.org.uk:8080/', 'https://CHILDLINE.org.uk./',
                'blob:https://www.childline.org.uk/1', 'http://10.0.0.5/', 'https://notchildline.org.uk/',
                'https://childline.org.uk.example/', 'https://example.org/?childline.org.uk', 'about:srcdoc', '',
                'null',
            ].map((address) => places.hold([address]));
        }"""
    )
    assert found == [True] * 5 + [False] * 6


async def test_searches_are_read_out_of_addresses(page: Page) -> None:
    found = await page.evaluate(
        """async (addresses) => {
            const { read } = await import('/navigation.js');
            return addresses.map(read);
        }""",
        [
            "https://www.google.com/search?q=how+to+die&hl=en",
            "https://www.youtube.com/results?search_query=caf%C3%A9%20music",
            "https://example.org/want-to-die/%E2%82%AC?page=2",
            "https://example.org/%ff?q=",
        ],
    )
    assert found == [
        {"search": "how to die", "address": "www.google.com/search?hl=en"},
        {"search": "café music", "address": "www.youtube.com/results"},
        {"search": "", "address": "example.org/want-to-die/€?page=2"},
        {"search": "", "address": "example.org/%ff?q="},
    ]


async def test_the_box_is_found_in_the_address_of_the_policy(page: Page) -> None:
    found = await page.evaluate(
        """async (addresses) => {
            const { boxOf, browserName } = await import('/settings.js');
            const brands = [{ brand: 'Not=A?Brand', version: '99' }, { brand: 'Chromium', version: '156' }];
            return [...addresses.map(boxOf), browserName(brands),
                browserName([...brands, { brand: 'Microsoft Edge', version: '155' }])];
        }""",
        ["https://endpoint.localhost:8443", "https://a.b/c?d", "http://a.b:80", "ftp://a.b", "", "a.b"],
    )
    assert found == [
        {"host": "endpoint.localhost:8443", "address": "wss://endpoint.localhost:8443/connect"},
        {"host": "a.b", "address": "wss://a.b/connect"},
        {"host": "a.b", "address": "ws://a.b/connect"},
        *(None, None, None),
        "Chromium 156",
        "Microsoft Edge 155",
    ]


@pytest.mark.parametrize("told", [True, False], ids=["told while it reads", "not told"])
async def test_a_policy_that_comes_late_is_taken_at_once(page: Page, told: bool) -> None:
    opened = await page.evaluate(
        """async (told) => {
            const { Connection } = await import('/connection.js');
            const readings = [];
            chrome.storage = { managed: { get: () => new Promise((resolve) => readings.push(resolve)) } };
            const opened = new Promise((resolve) => {
                globalThis.WebSocket = class { constructor(address) { resolve(address); } close() {} };
            });
            const states = [];
            const connection = new Connection({ onState: (state) => states.push(state) });
            connection.connect();
            if (told) connection.settingsChanged();
            readings[0]({});
            while (readings.length < 2) await new Promise((resolve) => setTimeout(resolve));
            readings[1]({ serverUrl: 'https://box.example' });
            return [await opened, states];
        }""",
        told,
    )
    assert opened == ["wss://box.example/connect", ["unset", "away"]]
