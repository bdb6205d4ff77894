"""Every format of lists is read; bad lines are counted and named; what came packed is unpacked within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.categories import Categories
from appliance_plugins.dns_filter.answerer.rules import CANARY_NAMES
from appliance_plugins.dns_filter.answerer.table import ALLOW, BELOW, EXACT, IMPORTANT
from appliance_plugins.dns_filter.lists import formats, shipped
from appliance_plugins.dns_filter.lists.dialects import SPARED, WITH_BELOW, dialects
from appliance_plugins.dns_filter.lists.formats import EXAMPLES_KEPT, LONGEST_LINE, Format, ListReader, Rejected
from appliance_plugins.dns_filter.lists.unpacking import Unreadable, parts
from appliance_plugins.dns_filter.network.known import supplied

MANY = 10_000_000


def read(text: bytes | str, format_: Format = "auto") -> tuple[list[tuple[int, str]], ListReader]:
    reader = ListReader(format_)
    content = text if isinstance(text, bytes) else text.encode()
    found = [(flags, name.decode()) for flags, names in reader.batches(io.BytesIO(content)) for name in names]
    return sorted(found, key=lambda each: each[1]), reader


def names(text: bytes | str, format_: Format = "auto") -> list[str]:
    found, reader = read(text, format_)
    assert reader.rejected == 0, reader.examples
    assert all(flags == WITH_BELOW for flags, _ in found)
    return [name for _, name in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"0.0.0.0 ads.example\n127.0.0.1 b.example\n", ["ads.example", "b.example"]),
        (b"0.0.0.0\tads.example b.example\tc.example # three\n", ["ads.example", "b.example", "c.example"]),
        (b":: ads.example\n::1 b.example\n", ["ads.example", "b.example"]),
        (b"\xef\xbb\xbf0.0.0.0 ads.example\r\n\r\n# comment\r\n   \r\n0.0.0.0 b.example", ["ads.example", "b.example"]),
        (b"127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n255.255.255.255 broadcasthost\n", []),
        (b"fe80::1%lo0 localhost\n0.0.0.0 0.0.0.0\n127.0.0.1 localhost ads.example\n", ["ads.example"]),
        ("0.0.0.0 bücher.example\n".encode(), ["xn--bcher-kva.example"]),
    ],
)
def test_hosts_files(text: bytes, found: list[str]) -> None:
    assert names(text, "hosts") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"ads.example\nB.Example.\n", ["ads.example", "b.example"]),
        (
            b"\xef\xbb\xbfa.example # why\r\n! c\r\n\r\n*.w.example\r\n.z.example",
            ["a.example", "w.example", "z.example"],
        ),
        ("BÜCHER.example\n例え.example\n".encode(), ["xn--bcher-kva.example", "xn--r8jz45g.example"]),
        (b"", []),
    ],
)
def test_plain_lists(text: bytes, found: list[str]) -> None:
    assert names(text, "domains") == found


def test_settings_of_dnsmasq() -> None:
    text = """# Title: a list
address=/a.example/
address=/b.example/0.0.0.0
address=/b6.example/::
server=/c.example/
local=/d.example/e.example/
address=/own.example/10.1.1.1
server=/ad.school.example/10.0.0.1
port=53
"""
    found, reader = read(text)
    assert reader.format == "dnsmasq"
    assert [name for _, name in found] == [f"{name}.example" for name in ("a", "b", "b6", "c", "d", "e")]
    assert [each.line for each in reader.examples] == [7, 8, 9]
    assert "leads somewhere" in reader.examples[0].why
    assert "'10.0.0.1'" in reader.examples[1].why


def test_a_response_policy_zone() -> None:
    text = """$TTL 300
@ IN SOA rpz.example. hostmaster.example. (
    1 3600 ; serial
    600 86400 300 )
  IN NS localhost.
both.example CNAME .
*.both.example 60 IN CNAME .
nodata.example IN CNAME *.
ok.both.example CNAME rpz-passthru.
walled.example CNAME portal.example.
own.example A 10.0.0.1
32.1.2.0.192.rpz-ip CNAME .
"""
    found, reader = read(text)
    assert reader.format == "rpz"
    assert set(found) == {
        (EXACT, "both.example"), (BELOW, "both.example"), (EXACT, "nodata.example"), (EXACT | ALLOW, "ok.both.example"),
    }  # fmt: skip
    assert [each.line for each in reader.examples] == [10, 11, 12]
    assert "portal.example" in reader.examples[0].why
    assert "about addresses" in reader.examples[2].why


def test_an_rpz_record_may_lead_nowhere_and_name_its_class_first() -> None:
    text = "a.example A 0.0.0.0\nb.example 60 IN AAAA ::\nc.example IN 300 CNAME .\nd.example A 192.0.2.7\n"
    found, reader = read(f"$TTL 60\n{text}e.example CNAME walled.garden.\n", "rpz")
    assert {name for _, name in found} == {"a.example", "b.example", "c.example"}
    assert reader.rejected == 2


@pytest.mark.parametrize("head", ["$ORIGIN rpz.school.\n", "rpz.school. 60 IN SOA a. b. 1 2 3 4 5\n"])
def test_owners_of_a_zone_may_end_in_its_name(head: str) -> None:
    found, reader = read(f"{head}a.example.rpz.school. CNAME .\n*.b.example.rpz.school. 60 IN CNAME .\n", "rpz")
    assert found == [(EXACT, "a.example"), (BELOW, "b.example")]
    assert reader.rejected == 0


def test_filters_of_ad_blockers() -> None:
    text = """[Adblock Plus]
! Title: filters
||a.example^
@@||ok.a.example^
||i.example^$important
||d.example^$denyallow=x.d.example|y.d.example
|exact.example^
plain.example
||all.example^$all
0.0.0.0 hosts.example
||*.w.example^
example.com##.advert
||e.example/banner
||f*.example^
/banner[0-9]+/
||z.example^$third-party
"""
    found, reader = read(text)
    assert reader.format == "adblock"
    assert set(found) == {
        (WITH_BELOW, "a.example"), (WITH_BELOW | ALLOW, "ok.a.example"), (WITH_BELOW | IMPORTANT, "i.example"),
        (WITH_BELOW, "d.example"), (WITH_BELOW | ALLOW | SPARED, "x.d.example"), (EXACT, "exact.example"),
        (WITH_BELOW | ALLOW | SPARED, "y.d.example"), (WITH_BELOW, "plain.example"), (WITH_BELOW, "all.example"),
        (WITH_BELOW, "hosts.example"), (WITH_BELOW, "w.example"),
    }  # fmt: skip
    assert reader.rejected == 5
    words = [each.why for each in reader.examples]
    assert "hides a part of pages" in words[0]
    assert all("whole names only" in each for each in words[1:4])
    assert "'$third-party'" in words[4]


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        (b"# c\n0.0.0.0 a.example\n0.0.0.0 b.example\n", "hosts"),
        (b"a.example\nb.example\n", "domains"),
        (b"*.a.example\n*.b.example\n", "domains"),
        (b"! c\n||a.example^\n", "adblock"),
        (b"# c\nlocal=/a.example/\n", "dnsmasq"),
        (b"$TTL 60\na.example CNAME .\n", "rpz"),
        (b"", "domains"),
        (b"nothing that anybody knows\n", "domains"),
    ],
)
def test_the_format_is_found_out(text: bytes, format_: str) -> None:
    _, reader = read(text)
    assert reader.format == (format_ if text else "auto")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"com", "'com' is a single word, which would stand for a whole top-level domain"),
        (b"1.2.3.4", "'1.2.3.4' is a number or an address, not a name"),
        (b"a example", "there is more than one word after 'a'; is this a hosts file?"),
        (b"a..example", "'a..example' has an empty part between two dots"),
        (b"\xff.example", "the line is not UTF-8 text"),
        (b"a/b.example", "'a/b.example' holds '/', which no domain name has"),
        (b"x" * 64 + b".example", f"'{'x' * 57}...' has a part longer than 63 characters"),
        (b"x." * 125 + b"example", f"'{'x.' * 28}x...' is longer than 253 characters"),
    ],
)
def test_bad_lines_are_counted_and_named(line: bytes, why: str) -> None:
    found, reader = read(b"a.example\n# comment\n" + line + b"\nb.example\n", "domains")
    assert [name for _, name in found] == ["a.example", "b.example"]
    assert (reader.rejected, reader.examples) == (1, [Rejected(3, why)])


@pytest.mark.parametrize(
    "ending", ["co.uk", "org.uk", "sch.uk", "gov.uk", "ac.uk", "com.au", "co.nz", "co.jp", "com.br"]
)
@pytest.mark.parametrize(
    ("format_", "entry"),
    [
        ("domains", "{}"),
        ("domains", " *.{}. # why"),
        ("hosts", "0.0.0.0 {}"),
        ("hosts", "0.0.0.0 a.example {}"),
        ("dnsmasq", "address=/{}/#"),
        ("dnsmasq", "local=/{}/"),
        ("dnsmasq", "server=/{}/ # why"),
        ("rpz", "*.{} CNAME ."),
        ("rpz", "*.{} 60 IN A 0.0.0.0"),
        ("adblock", "||{}^"),
        ("adblock", "||{}^$important"),
        ("adblock", "||{}^$denyallow=a.{}"),
    ],
)
def test_an_ending_that_many_share_is_no_entry_for_all_below_it(ending: str, format_: Format, entry: str) -> None:
    found, reader = read("\n" + entry.replace("{}", ending) + "\n", format_)
    why = f"'{ending}' is an ending that very many sites share; it would block all of them"
    assert (found, reader.rejected, reader.examples) == ([], 1, [Rejected(2, why)])
    below, reader = read(entry.replace("{}", f"school.{ending}"), format_)
    assert reader.rejected == 0, reader.examples
    assert f"school.{ending}" in {name for _, name in below}


def test_a_plain_list_goes_on_after_an_ending_and_names_each_line() -> None:
    text = "a.example\nco.uk\nb.co.uk\ncom\nCO.UK\nsch.uk\n"
    found, reader = read(text, "domains")
    assert [name for _, name in found] == ["a.example", "b.co.uk"]
    assert (reader.names, reader.rejected) == (2, 4)
    assert [each.line for each in reader.examples] == [2, 4, 5, 6]
    assert "top-level domain" in reader.examples[1].why


@pytest.mark.parametrize(
    ("format_", "text", "entry"),
    [
        ("rpz", "co.uk CNAME .", (EXACT, "co.uk")),
        ("rpz", "*.co.uk CNAME rpz-passthru.", (BELOW | ALLOW, "co.uk")),
        ("adblock", "|co.uk^", (EXACT, "co.uk")),
        ("adblock", "@@||co.uk^", (WITH_BELOW | ALLOW, "co.uk")),
    ],
)
def test_an_ending_alone_and_an_exception_for_it_block_nothing_below(
    format_: Format, text: str, entry: tuple[int, str]
) -> None:
    found, reader = read(text, format_)
    assert (found, reader.rejected) == ([entry], 0)


def test_a_name_that_is_too_long_is_said_to_be_so_in_every_format() -> None:
    name = "x." * 125 + "example"
    for format_, line in (("hosts", f"0.0.0.0 {name}"), ("dnsmasq", f"address=/{name}/"), ("adblock", f"||{name}^")):
        _, reader = read(f"{line}\n", format_)  # type: ignore[arg-type]  # each is one
        assert "is longer than 253 characters" in reader.examples[0].why, format_


def test_only_the_first_bad_lines_are_kept() -> None:
    _, reader = read("bad\n" * 100, "domains")
    assert reader.rejected == 100
    assert [each.line for each in reader.examples] == [*range(1, EXAMPLES_KEPT + 1)]


def test_a_real_address_is_no_block_entry() -> None:
    found, reader = read(b"93.184.216.34 www.example\n0.0.0.0 a.example\nexample a.example\n", "hosts")
    assert [name for _, name in found] == ["a.example"]
    assert [each.line for each in reader.examples] == [1, 3]


def test_lines_keep_their_numbers_over_all_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "CHUNK", 64)
    lines = [b"com" if number % 10 == 9 else b"n%d.example" % number for number in range(1, 41)]
    found, reader = read(b"\n".join(lines), "domains")
    assert len(found) == 36
    assert [each.line for each in reader.examples] == [9, 19, 29, 39]


def test_a_file_without_line_ends_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "CHUNK", 4096)
    found, reader = read(b"a.example\n" + b"x" * (LONGEST_LINE * 3) + b"\nb.example\n", "domains")
    assert [name for _, name in found] == ["a.example", "b.example"]
    assert reader.examples == [Rejected(2, f"the line is longer than {LONGEST_LINE} characters")]


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(dialects())))
def test_no_file_can_end_the_reading(content: bytes, format_: Format) -> None:
    found, reader = read(content, format_)
    assert all(len(name) <= 253 and "." in name and name == name.lower() for _, name in found)
    assert reader.names == len(found)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.from_regex(r"[a-z0-9_-]{1,10}(\.[a-z0-9-]{1,8}){0,2}\.[a-z0-9-]{1,5}", fullmatch=True), max_size=20))
def test_the_pattern_and_the_words_agree(found: list[str]) -> None:
    """Names that the fast pattern takes are those that are right by the rules for names."""
    fast, reader = read("\n".join(found), "domains")
    slow, slow_reader = read("\n".join(f"{name} #" + "\t" for name in found).replace("#\t", "\u00a0#"), "domains")
    assert (sorted(fast), reader.rejected) == (sorted(slow), slow_reader.rejected)


# What came packed

TEXT = b"a.example\nb.example\n"


def opened(path: Path, *, folders: bool = False, limit: int = MANY) -> dict[str, bytes | None]:
    return {part.folder: None if part.file is None else part.file.read() for part in parts(path, folders, limit)}


def zipped(*files: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in files:
                archive.writestr(name, TEXT)
        return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [TEXT, gzip.compress(TEXT), bz2.compress(TEXT), lzma.compress(TEXT), zipped("l.txt")],
    ids=["plain", "gz", "bz2", "xz", "zip"],
)
def test_packed_lists(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    assert opened(tmp_path / "list") == {"": TEXT}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_unpacks_without_end_is_stopped(tmp_path: Path, pack: object) -> None:
    (tmp_path / "bomb").write_bytes(pack(bytes(3_000_000)))  # type: ignore[operator]
    with pytest.raises(Unreadable, match="more than 1 MB"):
        opened(tmp_path / "bomb", limit=1_000_000)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(TEXT)[:-9], b"\x1f\x8bnonsense", bz2.compress(TEXT)[:20], b"PK\x03\x04nonsense", zipped("a", "b")],
    ids=["cut gz", "no gz", "cut bz2", "no zip", "two files"],
)
def test_what_is_damaged_is_said_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(Unreadable):
        opened(tmp_path / "list")


def toulouse(folder: Path) -> Path:
    for category, kind, text in (
        ("adult", "domains", b"x.example\n"),
        ("adult", "urls", b"y.example/page\n"),
        ("games", "domains", b"g.example\n"),
    ):
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / kind).write_bytes(text)
    (folder / "porn").symlink_to("adult")
    (folder / "README").write_text("hello")
    return folder


def test_the_layout_of_toulouse_as_a_folder(tmp_path: Path) -> None:
    found = [(part.folder, part.file and part.file.read()) for part in parts(toulouse(tmp_path / "b"), True, MANY)]
    assert found == [("adult", b"x.example\n"), ("adult", None), ("games", b"g.example\n")]


def test_an_archive_of_very_many_files_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "list", "w") as archive:
        for number in range(2000):
            archive.writestr(str(number), b"")
    with pytest.raises(Unreadable, match="too many files"):
        opened(tmp_path / "list")


def test_a_mirrored_folder_does_not_lead_to_files_outside(tmp_path: Path) -> None:
    folder = toulouse(tmp_path / "b")
    (tmp_path / "secret").write_text("key.example\n")
    (folder / "drugs").mkdir()
    (folder / "drugs" / "domains").symlink_to(tmp_path / "secret")
    assert [part.folder for part in parts(folder, True, MANY)] == ["adult", "adult", "games"]


def test_the_layout_of_toulouse_as_an_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(toulouse(tmp_path / "blacklists"), "blacklists")
    found = [(part.folder, part.file and part.file.read()) for part in parts(tmp_path / "b.tar.gz", True, MANY)]
    assert sorted(found, key=str) == [("adult", None), ("adult", b"x.example\n"), ("games", b"g.example\n")]


def test_an_archive_cannot_reach_outside_itself(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        member = tarfile.TarInfo("../../adult/domains")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
        link = tarfile.TarInfo("secret/domains")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = sorted(tmp_path.parent.iterdir())
    assert opened(tmp_path / "b.tar", folders=True) == {"adult": TEXT}
    assert sorted(tmp_path.parent.iterdir()) == before


def test_folders_and_archives_without_lists_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with tarfile.open(tmp_path / "b.tar", "w"):
        pass
    (tmp_path / "one").write_bytes(TEXT)
    for path in ("empty", "one", "missing"):
        with pytest.raises(Unreadable):
            opened(tmp_path / path, folders=True)


# Our own data


def test_categories_name_categories_of_captures_that_there_are() -> None:
    known = {each.key for each in Categories.load(Path("/nonexistent/categories.yaml")).all()}
    named = {each.safeguarding for each in shipped.categories().values() if each.safeguarding}
    assert named <= known
    assert len(named) > 5
    folders = [folder for each in shipped.categories().values() for folder in each.ut1]
    assert len(folders) == len(set(folders))


def test_every_known_source_feeds_a_category_and_is_fetched_over_https() -> None:
    for source in shipped.sources():
        assert source.category in shipped.categories(), source


def test_safe_search_covers_every_engine_and_all_names_of_youtube() -> None:
    strict, moderate, off = (shipped.safesearch(choice) for choice in ("strict", "moderate", "off"))  # type: ignore[arg-type]
    youtube = {
        "www.youtube.com",
        "m.youtube.com",
        "youtubei.googleapis.com",
        "youtube.googleapis.com",
        "www.youtube-nocookie.com",
    }
    assert {name for name in strict if name not in off} == youtube
    assert {strict[name] for name in youtube} == {"restrict.youtube.com"}
    assert {moderate[name] for name in youtube} == {"restrictmoderate.youtube.com"}
    google = [name for name in off if name.startswith("www.google.")]
    assert len(google) > 185
    assert {off[name] for name in google} == {"forcesafesearch.google.com"}
    for name in ("www.google.co.uk", "www.bing.com", "duckduckgo.com", "search.brave.com", "api.qwant.com", "yandex.ru",
                 "www.ecosia.org", "www.google.com"):  # fmt: skip
        assert name in off
    assert not set(strict) & set(strict.values())  # an engine's safe name is led nowhere else


def test_ways_around_never_name_a_search_engine_or_a_helpline() -> None:
    around = set(shipped.bypass().domains)
    assert {"use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"} == set(CANARY_NAMES)
    assert "dns.google" in around
    wide = {"google.com", "cloudflare.com", "icloud.com", "apple.com", "microsoft.com", "opera.com", "quad9.net"}
    assert not around & wide
    for service in shipped.services():
        assert not set(service.domains) & wide, service.key


def test_what_the_listening_knows_to_be_a_way_around_is_blocked_too() -> None:
    around = set(shipped.bypass().domains)
    missing = [
        host
        for host in supplied().services
        if not any(host == domain or host.endswith(f".{domain}") for domain in around)
    ]
    assert missing == []
    assert {"vpn.mozilla.org", "blitz.ahadns.com", "dns.bitdefender.net", "dns4all.eu", "yewtu.be"} <= around


def test_services_have_one_switch_each() -> None:
    keys = [service.key for service in shipped.services()]
    assert len(keys) == len(set(keys)) > 60
    assert {"youtube", "tiktok", "snapchat", "roblox", "chatgpt", "character_ai", "whatsapp", "discord"} <= set(keys)
