"""The packed extension: its file format, its manifest, its versions."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from protocol_box import KEYWORD

from appliance.config import Config, Place, source_of
from appliance.config import check as check_settings
from appliance.db import Database
from appliance.endpoints import extension as packing
from appliance.endpoints.crx import crx
from appliance.endpoints.extension import Extension, next_version
from appliance.exempt import Exempt, ExemptPlace
from appliance.keys_on_disk import EXTENSION_KEY, ExtensionKey, TrustError, extension_id
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.testing import Home, Running

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FOLDING = json.loads((Path(__file__).parent / "vectors" / "folding.json").read_text(encoding="utf-8"))
EXEMPT = Exempt([ExemptPlace("childline.org.uk", "Childline", "somebody to talk to")])
MORNING = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protocol buffer that holds nothing but bytes, written down apart from the code that writes it."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        assert tag & 7 == 2
        length = number()
        yield tag >> 3, message[at : at + length]
        at += length


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ExtensionKey:
    return ExtensionKey.open(tmp_path_factory.mktemp("key") / "trust")


def config_of(settings: str = "") -> Config:
    return check_settings(source_of(settings, Place(Path("/etc/appliance/appliance.yaml"))), {})


# The file


def test_the_file_is_signed_as_browsers_check_it(key: ExtensionKey) -> None:
    content = crx({"manifest.json": b"{}", "a/b.js": b"1"}, key)
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"Cr24", 3, 581)  # the length that Chromium's own tool makes
    header, archive = content[12 : 12 + length], content[12 + length :]
    proof, signed = dict(fields(header))[2], dict(fields(header))[10000]
    public_key, signature = dict(fields(proof))[1], dict(fields(proof))[2]
    assert dict(fields(signed))[1].hex() == key.crx_id.hex()
    assert extension_id(public_key) == key.extension_id
    verifier = serialization.load_der_public_key(public_key)
    assert isinstance(verifier, rsa.RSAPublicKey)
    said = b"CRX3 SignedData\x00" + struct.pack("<I", len(signed)) + signed + archive
    verifier.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == {"manifest.json": b"{}", "a/b.js": b"1"}


def test_the_same_files_make_the_same_bytes(key: ExtensionKey) -> None:
    files = {"b.js": b"2", "a.js": b"1"}
    assert crx(files, key) == crx(dict(reversed(files.items())), key)
    assert crx({**files, "a.js": b"3"}, key) != crx(files, key)


def test_a_key_shows_nothing_of_itself(key: ExtensionKey) -> None:
    assert repr(key) == f"ExtensionKey(extension_id='{key.extension_id}')"


# The manifest


def test_nothing_of_the_extension_goes_where_pupils_look_for_help_nor_into_the_pages_of_the_box(
    key: ExtensionKey,
) -> None:
    settings = config_of("web: {domain: safe.school.uk}").settings
    script = packing.manifest(key, EXEMPT, settings)["content_scripts"][0]
    assert script["exclude_matches"] == [
        "*://*.childline.org.uk/*",
        "*://*.staff.safe.school.uk/*",
        "*://*.pupil.safe.school.uk/*",
        "*://*.endpoint.safe.school.uk/*",
        "*://safe.school.uk/*",
    ]
    assert (script["all_frames"], script["match_about_blank"], script["run_at"]) == (True, True, "document_start")
    trial = packing.manifest(key, EXEMPT, config_of("web: {domain: localhost}").settings)["content_scripts"][0]
    assert "*://localhost/*" not in trial["exclude_matches"]  # that is the device itself


@pytest.mark.parametrize(
    ("web_settings", "address"),
    [
        ("{domain: safe.school.uk}", "https://endpoint.safe.school.uk/extension/updates.xml"),
        ("{domain: localhost, port: 8443}", "https://endpoint.localhost:8443/extension/updates.xml"),
    ],
)
def test_the_manifest_says_where_newer_versions_are(key: ExtensionKey, web_settings: str, address: str) -> None:
    about = packing.manifest(key, EXEMPT, config_of(f"web: {web_settings}").settings)
    assert about["update_url"] == address
    assert about["manifest_version"] == 3


def test_every_file_that_the_manifest_names_is_there(key: ExtensionKey) -> None:
    settings, folders = config_of().settings, {"keyword": KEYWORD}
    about = packing.manifest(key, EXEMPT, settings)
    files = {**packing.gather(folders, {}), **packing.generated(folders, EXEMPT, settings)}
    named = [*about["content_scripts"][0]["js"], *about["icons"].values(), about["background"]["service_worker"]]
    assert {*named, about["storage"]["managed_schema"], "plugins/keyword/main.js"} <= set(files)
    assert set(json.loads(files["managed_schema.json"])["properties"]) == {
        *("serverUrl", "enrolToken", "deviceName", "deviceSerial")
    }
    assert len(about["description"]) <= 132  # longer ones are refused
    for size in packing.ICON_SIZES:
        width, height = struct.unpack_from(">II", files[f"icons/{size}.png"], 16)
        assert (width, height) == (size, size)


def test_a_school_of_any_name_makes_a_manifest_and_a_script(key: ExtensionKey) -> None:
    name = 'St "Ann" </script> & \\ Sons ' + "of the long name " * 5
    settings = config_of(f"school: {{name: {json.dumps(name[:100])}}}").settings
    assert len(packing.manifest(key, EXEMPT, settings)["description"]) <= 132
    assert json.dumps(settings.school.name) in packing.generated({}, EXEMPT, settings)["generated/school.js"].decode()


def test_only_plugins_with_a_part_for_browsers_are_packed(tmp_path: Path) -> None:
    (tmp_path / "quiet").mkdir()
    folders = {"quiet": tmp_path / "quiet", "keyword": KEYWORD}
    assert list(packing.with_browser_part(folders)) == ["keyword"]
    module = packing.generated(folders, EXEMPT, config_of().settings)["generated/plugins.js"].decode()
    assert module == 'import * as keyword from "../plugins/keyword/main.js";\n\nexport const plugins = { keyword };\n'


# Versions


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.lists(st.integers(0, 65535), min_size=1, max_size=4).map(tuple),
)
def test_each_version_is_greater_than_the_last(moment: datetime, last: tuple[int, ...]) -> None:
    if last == (65535,) * 4:
        return
    version = next_version(moment.replace(tzinfo=UTC), last)
    as_browsers_compare = [[*one, 0, 0, 0, 0][:4] for one in (last, version)]
    assert as_browsers_compare[0] < as_browsers_compare[1]
    assert all(0 <= part <= 65535 for part in version)


def test_a_version_is_the_time_of_packing() -> None:
    assert next_version(MORNING, ()) == (2026, 1124, 905)
    assert next_version(MORNING, (2026, 1124, 904, 7)) == (2026, 1124, 905)
    assert next_version(MORNING, (2026, 1124, 905)) == (2026, 1124, 905, 1)
    assert next_version(MORNING, (2030, 101, 0, 65535)) == (2030, 101, 1, 0)


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    store = Database(tmp_path / "records.db", "normal")
    await store.open()
    await migrate(store, CORE, resource("migrations"), tmp_path / "backups")
    yield store
    await store.close()


async def test_another_content_has_a_higher_version_and_the_same_content_the_same(
    tmp_path: Path, records: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "now", lambda: MORNING)
    folders: dict[str, Path] = {}
    made: dict[str, dict[str, bytes]] = {}

    async def packed(settings: str = "") -> Extension:
        trial = f"storage: {{state_dir: {tmp_path}, run_dir: {tmp_path}}}\n{settings}"
        extension = Extension(records, tmp_path, lambda: folders, EXEMPT, config_of(trial), lambda: made)
        await extension.start()
        return extension

    first, again = await packed(), await packed()
    assert (first.version, first.crx) == (again.version, again.crx)
    assert first.version == "2026.1124.905"
    folders["keyword"] = KEYWORD
    assert (await packed()).version == "2026.1124.905"  # it could not make its files, so browsers do without it
    made["keyword"] = {}
    assert (await packed()).version == "2026.1124.905.1"
    assert (await packed("web: {port: 444}")).version == "2026.1124.905.2"
    assert (await packed()).version == "2026.1124.905.3"  # not the old number again: browsers never go back
    made["keyword"] = {"generated/tables.js": b"export const a = 1;"}
    assert (await packed()).version == "2026.1124.905.4"
    monkeypatch.setattr(packing, "now", lambda: MORNING.replace(hour=10))
    assert (await packed()).version == "2026.1124.905.4"
    (tmp_path / "trust" / EXTENSION_KEY).unlink()
    with pytest.raises(TrustError):
        await packed()


async def test_browsers_find_the_newest_version_and_get_it(
    appliance_home: Home, start_appliance: Callable[[Home], Any]
) -> None:
    running: Running = await start_appliance(appliance_home)
    extension = running.appliance.endpoints.extension
    asked = f"/extension/updates.xml?os=linux&x=id%3D{extension.id}%26v%3D0.0.0.0%26uc"
    answer = await running.get(asked, site="endpoint")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    address = f"http://endpoint.localhost:{running.port}/extension/appliance.crx"
    assert f'<app appid="{extension.id}">' in answer.text
    assert f'<updatecheck codebase="{address}" version="{extension.version}"/>' in answer.text
    answer = await running.get("/extension/appliance.crx", site="endpoint")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-chrome-extension")
    assert answer.text.startswith("Cr24")
    assert (await running.get("/extension/appliance.crx", site="staff")).status in {303, 401, 403, 404}
