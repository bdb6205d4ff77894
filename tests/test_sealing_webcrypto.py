"""Envelopes made once stay open for ever: for this program, and for a browser that has nothing but WebCrypto."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from browsers import a_chromium
from playwright.async_api import Page

from appliance.sealing import (
    Keys,
    Recipient,
    SealError,
    key_from_recovery,
    open_envelope,
    open_key,
    public_of,
    read_header,
    read_recovery_key,
    seal,
    unwrap,
)

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "envelope-v1.json").read_text(encoding="utf-8"))
KEYS: list[dict[str, Any]] = VECTORS["keys"]
ENVELOPES: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in VECTORS["envelopes"]}
RFC9180: dict[str, str] = json.loads((FOLDER / "rfc9180.json").read_text(encoding="utf-8"))

OPEN = """async ({ envelope, keys }) => {
    const opened = await openEnvelope(Uint8Array.fromHex(envelope), keysOf(keys));
    return { ...opened, content: opened.content.toHex() };
}"""
KEYS_OF = """() => {
    globalThis.keysOf = (keys) => Object.fromEntries(
        keys.map((key) => [`${key.vault}/${key.epoch}`, Uint8Array.fromHex(key.private_key)]));
}"""


def keys_of(*numbers: int) -> Keys:
    keys = Keys("account", bytes(32))
    for number in numbers:
        keys.put(KEYS[number]["vault"], KEYS[number]["epoch"], bytes.fromhex(KEYS[number]["private_key"]))
    return keys


# This program


@pytest.mark.parametrize("name", ENVELOPES)
def test_this_program_opens_each_of_them_with_each_of_its_keys(name: str) -> None:
    vector = ENVELOPES[name]
    envelope = bytes.fromhex(vector["envelope"])
    for number in vector["recipients"]:
        assert open_envelope(envelope, keys_of(number)) == bytes.fromhex(vector["content"])
    others = set(range(len(KEYS))) - set(vector["recipients"])
    with pytest.raises(SealError):
        open_envelope(envelope, keys_of(*others))
    header = read_header(envelope)
    assert (header.item_id, header.kind) == (vector["item_id"], vector["kind"])
    assert list(header.recipients) == [
        (KEYS[number]["vault"], KEYS[number]["epoch"]) for number in vector["recipients"]
    ]


def test_this_program_opens_the_keys() -> None:
    for key in KEYS:
        assert public_of(bytes.fromhex(key["private_key"])).hex() == key["public_key"]
    sealed, recovery = VECTORS["sealed_key"], VECTORS["recovery"]
    own = bytes.fromhex(sealed["private_key"])
    assert open_key(bytes.fromhex(sealed["sealed"]), own, sealed["context"].encode()).hex() == sealed["opened"]
    assert read_recovery_key(recovery["printed"]).hex() == recovery["secret"]
    key = key_from_recovery(bytes.fromhex(recovery["secret"]))
    assert key.hex() == recovery["key"]
    assert unwrap(bytes.fromhex(recovery["wrapped"]), key, recovery["context"].encode()).hex() == recovery["opened"]


# A browser


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page on this machine (browsers give WebCrypto to trustworthy origins only) with ``open_envelope.js``."""
    application = web.Application()
    application.router.add_static("/vectors", FOLDER)
    application.router.add_get("/", _page)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with a_chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.evaluate(KEYS_OF)
        yield page
    await runner.cleanup()


async def _page(_request: web.Request) -> web.Response:
    return web.Response(
        text='<!doctype html><title>Vectors</title><script src="/vectors/open_envelope.js"></script>',
        content_type="text/html",
        headers={"Content-Security-Policy": "default-src 'none'; script-src 'self'"},
    )


async def test_a_browser_opens_a_vector_of_the_rfc(page: Page) -> None:
    opened = await page.evaluate(
        """async ({ private_key, info, enc, aad, ciphertext }) => {
            const bytes = (hex) => Uint8Array.fromHex(hex);
            return (await hpkeOpen(bytes(enc + ciphertext), bytes(private_key), bytes(info), bytes(aad))).toHex();
        }""",
        RFC9180,
    )
    assert opened == RFC9180["plaintext"]


async def test_a_browser_opens_all_of_them(page: Page) -> None:
    for vector in VECTORS["envelopes"]:
        for number in vector["recipients"]:
            opened = await page.evaluate(OPEN, {"envelope": vector["envelope"], "keys": [KEYS[number]]})
            assert opened == {
                "itemId": vector["item_id"],
                "kind": vector["kind"],
                "recipients": [f"{KEYS[one]['vault']}/{KEYS[one]['epoch']}" for one in vector["recipients"]],
                "content": vector["content"],
            }


async def test_a_browser_opens_what_is_sealed_now_and_nothing_that_was_changed(page: Page) -> None:
    item = VECTORS["envelopes"][0]["item_id"]
    recipients = [Recipient(key["vault"], key["epoch"], bytes.fromhex(key["public_key"])) for key in KEYS[:2]]
    envelope = seal("Zoë".encode(), item, "note", recipients)
    opened = await page.evaluate(OPEN, {"envelope": envelope.hex(), "keys": KEYS[1:2]})
    assert bytes.fromhex(opened["content"]).decode() == "Zoë"
    good = await page.evaluate(
        """async ({ envelope, keys }) => {
            const whole = Uint8Array.fromHex(envelope), good = [];
            for (let at = 0; at < whole.length; at++) {
                const changed = whole.slice();
                changed[at] ^= 1;
                for (const attempt of [changed, whole.slice(0, at)]) {
                    await openEnvelope(attempt, keysOf(keys)).then(() => good.push(at), () => null);
                }
            }
            return good;
        }""",
        {"envelope": envelope.hex(), "keys": KEYS[1:2]},
    )
    assert good == []


async def test_a_browser_opens_the_keys(page: Page) -> None:
    opened = await page.evaluate(
        """async ({ sealed_key, recovery }) => {
            const bytes = (hex) => Uint8Array.fromHex(hex);
            const key = await keyFromRecovery(bytes(recovery.secret));
            return [
                await openKey(bytes(sealed_key.sealed), bytes(sealed_key.private_key), ascii(sealed_key.context)),
                key,
                await unwrap(bytes(recovery.wrapped), key, ascii(recovery.context)),
            ].map((one) => one.toHex());
        }""",
        {"sealed_key": VECTORS["sealed_key"], "recovery": VECTORS["recovery"]},
    )
    assert opened == [VECTORS["sealed_key"]["opened"], VECTORS["recovery"]["key"], VECTORS["recovery"]["opened"]]
