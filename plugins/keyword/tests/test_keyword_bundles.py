"""The format: what is packed and signed opens, everything else is refused in words, whoever has changed what."""

from __future__ import annotations

import datetime
import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_bench import BIRDS, FISH, Publisher, policy, term
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ApplianceError, Refused
from appliance.keys_on_disk import TrustError
from appliance.signing import PublicKey, SigningKey
from appliance.testing import Home, run_cli
from appliance_plugins.keyword.bundles import archive
from appliance_plugins.keyword.bundles.archive import MANIFEST, SIGNATURE, BundleRefused, pack, unpack
from appliance_plugins.keyword.bundles.manifest import notes_of, read_manifest, write_manifest
from appliance_plugins.keyword.bundles.opening import open_bundle, read_policy_files
from appliance_plugins.keyword.bundles.signatures import signature_line
from appliance_plugins.keyword.bundles.tool import main

ACME = Publisher()
ACME_DAY = datetime.date(2026, 11, 20)


def refused(packed: bytes, publisher: Publisher = ACME) -> str:
    with pytest.raises(BundleRefused) as caught:
        open_bundle(packed, [publisher.trusted])
    return str(caught.value)


# What is right


@pytest.mark.parametrize("packed", [False, True])
def test_a_signed_bundle_opens(packed: bool) -> None:
    bundle = open_bundle(ACME.bundle(3, {"fish": FISH, "birds": BIRDS}, packed=packed), [ACME.trusted])
    assert (bundle.name, bundle.version, bundle.signer, bundle.notes) == ("acme-words", 3, "Acme", "New words.")
    assert [policy.name for policy in bundle.policies] == ["birds", "fish"]
    assert bundle.terms == 3
    assert bundle.fingerprint == ACME.key.public.fingerprint


@pytest.mark.parametrize("packed", [False, True])
def test_the_same_files_give_the_same_octets(packed: bool) -> None:
    files = ACME.files(1, {"fish": FISH, "birds": BIRDS})
    backwards = dict(reversed(files.items()))
    assert pack(files, packed=packed) == pack(backwards, packed=packed)
    with tarfile.open(fileobj=io.BytesIO(pack(files))) as opened:
        assert [entry.name for entry in opened] == [MANIFEST, SIGNATURE, "birds.yaml", "fish.yaml"]
        assert {(entry.mtime, entry.uid, entry.gid, entry.mode) for entry in opened} == {(0, 0, 0, 0o644)}


def test_a_bundle_that_tar_itself_has_packed_opens_too(tmp_path: Path) -> None:
    for name, content in ACME.files(1, {"fish": FISH}).items():
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "made.tgz"
    names = sorted(path.name for path in tmp_path.iterdir())
    subprocess.run(["tar", "-czf", out, "-C", tmp_path, *names], check=True)
    assert open_bundle(out.read_bytes(), [ACME.trusted]).version == 1


def test_openssl_agrees_with_the_signature(tmp_path: Path) -> None:
    files = ACME.files(1, {"fish": FISH})
    (tmp_path / "key.pem").write_bytes(ACME.key.public.pem)
    (tmp_path / "signed").write_bytes(files[MANIFEST])
    line = files[SIGNATURE].decode().split()[1]
    (tmp_path / "signature").write_bytes(
        subprocess.run(["base64", "-d"], input=line.encode(), capture_output=True, check=True).stdout
    )
    asked = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "signed",
        "-sigfile",
        "signature",
    ]
    assert subprocess.run(asked, cwd=tmp_path, capture_output=True, check=False).returncode == 0


@given(st.text(max_size=300))
def test_notes_come_back_as_they_were_written_or_are_refused(text: str) -> None:
    try:
        expected = notes_of(text)
        manifest = write_manifest("acme", 1, ACME_DAY, text, {"a.yaml": b""})
    except Refused:
        return
    files = {MANIFEST: manifest, SIGNATURE: signature_line(ACME.key, manifest), "a.yaml": b""}
    with pytest.raises(BundleRefused) as caught:  # an empty file is no policy; the notes were read all the same
        open_bundle(pack(files), [ACME.trusted])
    assert "Its policies have mistakes" in str(caught.value)
    assert read_manifest(manifest).notes == expected


# What was changed


def changed(change: Callable[[dict[str, bytes]], None]) -> bytes:
    files = ACME.files(3, {"fish": FISH, "birds": BIRDS})
    change(files)
    return pack(files)


def flip(name: str, at: int) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        content = bytearray(files[name])
        content[at] ^= 1
        files[name] = bytes(content)

    return change


def other_letter(name: str, at: int) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        content = bytearray(files[name])
        content[at] = next(letter for letter in b"AB" if letter != content[at])
        files[name] = bytes(content)

    return change


def put(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: content})


def take_out(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.pop(name) and None


def other_fingerprint(files: dict[str, bytes]) -> None:
    line = files[SIGNATURE]
    files[SIGNATURE] = (b"0" if line[:1] != b"0" else b"1") + line[1:]


TAMPERED = {
    "no signature": (take_out(SIGNATURE), "not signed"),
    "no manifest": (take_out(MANIFEST), "holds no bundle.yaml"),
    "first octet of the manifest": (flip(MANIFEST, 0), "changed after it was signed"),
    "last octet of the manifest": (flip(MANIFEST, -1), "changed after it was signed"),
    "an octet more": (lambda files: files.update({MANIFEST: files[MANIFEST] + b"\n"}), "changed after it was signed"),
    "fingerprint": (other_fingerprint, "does not trust"),
    "blank of the signature": (flip(SIGNATURE, 95), "signature is none"),
    "first octet of the signature": (other_letter(SIGNATURE, 96), "changed after it was signed"),
    "unused bits of the signature": (flip(SIGNATURE, 96 + 85), "signature is none"),
    "end of the signature": (flip(SIGNATURE, -1), "signature is none"),
    "empty signature": (put(SIGNATURE, b""), "signature is none"),
    "a policy": (flip("fish.yaml", 100), "fish.yaml: it was changed"),
    "a policy too few": (take_out("birds.yaml"), "birds.yaml: it is missing"),
    "a policy too many": (put("more.yaml", FISH.encode()), "more.yaml: bundle.yaml does not name it"),
    "a policy in the place of another": (put("birds.yaml", FISH.encode()), "birds.yaml: it was changed"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_changed_is_refused(case: str) -> None:
    change, words = TAMPERED[case]
    assert words in refused(changed(change))


def test_no_octet_of_a_bundle_can_be_changed_unseen() -> None:
    """Whatever octet is changed: it is refused, or (where tar itself keeps nothing of use) the content is the same."""
    whole = ACME.bundle(3, {"fish": FISH})
    content = open_bundle(whole, [ACME.trusted])
    seen = 0
    for at in range(0, len(whole), 7):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0x15
        try:
            assert open_bundle(bytes(spoilt), [ACME.trusted]) == content
        except BundleRefused:
            seen += 1
    assert seen > 100


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_cut_off_is_refused(packed: bool) -> None:
    whole = ACME.bundle(3, packed=packed)
    end = len(whole) if packed else len(whole.rstrip(b"\0"))
    for length in sorted({0, 1, 100, 511, 512, 513, 1024, 1700, end - 1} & set(range(end))):
        refused(whole[:length])


def test_somebody_else_s_signature_is_told() -> None:
    other = Publisher()
    words = refused(other.bundle(1))
    assert f"a key that this school does not trust: {other.key.public.fingerprint}" in words
    assert "plugins.keyword.bundle.keys" in words
    with pytest.raises(BundleRefused):
        open_bundle(ACME.bundle(1), [])


def test_a_signature_of_another_key_under_a_trusted_name_is_refused() -> None:
    files = ACME.files(1, {"fish": FISH})
    theirs = signature_line(SigningKey.new(), files[MANIFEST]).split()[1]
    files[SIGNATURE] = files[SIGNATURE].split()[0] + b" " + theirs + b"\n"
    assert "changed after it was signed" in refused(pack(files))


# What the outside may be


def archived(*entries: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=kind) as opened:
        for entry, content in entries:
            opened.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def entry(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


@pytest.mark.parametrize(
    "name", ["../fish.yaml", "/etc/fish.yaml", "a/fish.yaml", "Fish.yaml", "fish.yml", ".yaml", "", "x" * 200 + ".yaml"]
)
def test_names_lead_nowhere(name: str) -> None:
    assert "no file of a bundle may be called" in refused(archived(entry(name), kind=tarfile.PAX_FORMAT))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_and_devices_are_refused(kind: bytes) -> None:
    with pytest.raises(BundleRefused):
        unpack(archived(entry("fish.yaml", b"", kind, "/etc/passwd")))


def test_a_name_twice_is_refused() -> None:
    assert "holds fish.yaml twice" in refused(archived(entry("fish.yaml"), entry("fish.yaml")))


def test_limits_are_looked_at_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "larger than 1 MiB" in refused(archived(entry("fish.yaml", bytes(archive.LARGEST_FILE + 1))))
    assert "unpacks to more than 32 MiB" in refused(gzip.compress(bytes(archive.LARGEST + 1)))
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    assert "more than 3 files" in refused(archived(*(entry(f"f{number}.yaml") for number in range(5))))


@given(st.binary(max_size=2000))
def test_nonsense_is_refused_in_words(content: bytes) -> None:
    refused(content)
    refused(b"\x1f\x8b" + content)


# What it says


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"format: 1", b"format: 2", "format"),
        (b"version: 3", b"version: 0", "version: 0 is too small"),
        (b"version: 3", b"version: '3'", "version"),
        (b"date: 2026-11-20", b"date: soon", '"soon" is not a date'),
        (b'name: "acme-words"', b'name: "Acme Words"', "does not have the right form"),
        (b"notes: |-", b"note: |-", "did you mean notes?"),
        (b"{name: fish.yaml", b"{name: ../fish.yaml", "does not have the right form"),
    ],
)
def test_every_mistake_of_the_manifest_is_told(old: bytes, new: bytes, words: str) -> None:
    files = ACME.files(3, {"fish": FISH})
    files[MANIFEST] = files[MANIFEST].replace(old, new)
    files[SIGNATURE] = signature_line(ACME.key, files[MANIFEST])
    found = refused(pack(files))
    assert "bundle.yaml has mistakes" in found
    assert words in found


def test_every_mistake_of_every_policy_is_told() -> None:
    wrong = FISH.replace("severity: severe", "severity: awful")
    also = BIRDS.replace("date: 2026-09-01", "date: soon")
    words = refused(ACME.bundle(1, {"fish": wrong, "birds": also}))
    assert "birds.yaml:5: date" in words
    assert 'fish.yaml:16: terms[1].severity: "awful" is not one of the choices' in words
    assert "more.yaml: fish.yaml has the name fish already" in refused(ACME.bundle(1, {"fish": FISH, "more": FISH}))


def test_mistakes_of_hidden_policies_show_none_of_their_words() -> None:
    hidden = policy("secret", term("one", "nasty newt"), term("two", "nasty newt"), hidden=True)
    words = refused(ACME.bundle(1, {"secret": hidden}))
    assert "newt" not in words
    assert "secret.yaml: 1 mistakes, which are not shown" in words
    with pytest.raises(BundleRefused, match="nasty newt"):
        read_policy_files({"secret.yaml": hidden.encode()}, tell_all=True)


# The tool of publishers


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "fish.yaml").write_text(FISH)
    (tmp_path / "notes.txt").write_text("Eels are new.\n\n  Rays are gone.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PACK = ["pack", "acme", "--version", "3", "--notes", "notes.txt", "--date", "2026-11-20"]


def test_a_publisher_packs_signs_and_verifies(desk: Path) -> None:
    told = main(["new-key", "acme.key"])
    assert (desk / "acme.key").stat().st_mode & 0o777 == 0o600
    public = told.partition('key: "')[2].partition('"')[0]
    assert PublicKey.of_text(public).fingerprint in told
    main([*PACK, "-o", "x.tar"])
    assert "Not signed" in main(["verify", "x.tar"])
    first = (desk / "x.tar").read_bytes()
    main([*PACK, "-o", "x.tar"])
    assert (desk / "x.tar").read_bytes() == first
    assert "acme version 3 is signed with" in main(["sign", "x.tar", "--key-file", "acme.key"])
    told = main(["verify", "x.tar", "--key", public])
    assert "Signed with the key that was given" in told
    assert "Fish: 2 terms" in told
    assert told.endswith("Eels are new.\n\n  Rays are gone.")
    signed = (desk / "x.tar").read_bytes()
    main(["sign", "x.tar", "--key-file", "acme.key"])
    assert (desk / "x.tar").read_bytes() == signed
    assert oct((desk / "x.tar").stat().st_mode & 0o777) == "0o644"


def test_gzip_stays_gzip(desk: Path) -> None:
    main(["new-key", "acme.key"])
    main([*PACK, "-o", "x.tar.gz"])
    main(["sign", "x.tar.gz", "--key-file", "acme.key"])
    assert (desk / "x.tar.gz").read_bytes().startswith(b"\x1f\x8b")


def test_a_bundle_that_was_cut_off_is_told_so(desk: Path) -> None:
    main([*PACK, "-o", "x.tar.gz"])
    (desk / "x.tar.gz").write_bytes((desk / "x.tar.gz").read_bytes()[:-20])
    with pytest.raises(ApplianceError, match=r"is damaged: it was cut off\."):
        main(["verify", "x.tar.gz"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*PACK[:-4], "--notes", "none.txt", "-o", "x.tar"], "none.txt: No such file"),
        (["pack", "acme", "--version", "0", "--notes", "notes.txt", "-o", "x.tar"], "version: 0 is too small"),
        (["pack", ".", "--version", "1", "--notes", "notes.txt", "-o", "x.tar"], "holds no file that ends with .yaml"),
        ([*PACK, "--name", "Acme!", "-o", "x.tar"], "does not have the right form"),
        ([*PACK, "-o", "x.zip"], "x.zip is no name of a bundle"),
        (["verify", "notes.txt"], "no tar file"),
        (["verify", "none.tar"], "none.tar: No such file"),
        (["sign", "notes.txt", "--key-file", "none.key"], "none.key: No such file"),
    ],
)
def test_what_a_publisher_does_wrong_is_told(desk: Path, words: list[str], told: str) -> None:
    with pytest.raises(ApplianceError) as caught:
        main(words)
    assert told in str(caught.value)
    assert not (desk / "x.tar").exists()


def test_a_key_that_others_can_read_is_not_used(desk: Path) -> None:
    main(["new-key", "acme.key"])
    main([*PACK, "-o", "x.tar"])
    (desk / "acme.key").chmod(0o640)
    with pytest.raises(TrustError, match="chmod 600"):
        main(["sign", "x.tar", "--key-file", "acme.key"])
    (desk / "acme.key").chmod(0o600)
    with pytest.raises(ApplianceError, match="File exists"):
        main(["new-key", "acme.key"])
    (desk / "acme.key").write_text("nonsense")
    with pytest.raises(TrustError, match="no private key"):
        main(["sign", "x.tar", "--key-file", "acme.key"])
    with pytest.raises(TrustError, match="no public key"):
        main(["verify", "x.tar", "--key", "nonsense"])


def test_another_key_does_not_verify(desk: Path) -> None:
    main(["new-key", "acme.key"])
    main([*PACK, "-o", "x.tar"])
    with pytest.raises(BundleRefused, match="not signed"):
        main(["verify", "x.tar", "--key", SigningKey.new().public.text])
    main(["sign", "x.tar", "--key-file", "acme.key"])
    with pytest.raises(BundleRefused, match="does not trust"):
        main(["verify", "x.tar", "--key", SigningKey.new().public.text])


def test_the_tool_needs_no_appliance(appliance_home: Home, desk: Path) -> None:
    answer = run_cli(appliance_home, "policy", *PACK, "-o", "x.tar")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "acme version 3, 1 policies with 2 terms. Not signed." in answer.stdout
    assert run_cli(appliance_home, "policy", "verify", "none.tar").returncode == 1
    assert "The appliance does not run." in run_cli(appliance_home, "policy", "check").stderr
