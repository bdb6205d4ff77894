"""Keys that are made once: kept private, never made anew silently, and the id of the browser extension."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance.keys_on_disk import (
    EXTENSION_KEY,
    FACTOR_KEY,
    ExtensionKey,
    TrustError,
    extension_id,
    keep_key,
    load_or_make_secret,
    read_key,
)

Open = Callable[[Path], object]
OPENERS: dict[str, Open] = {
    FACTOR_KEY: lambda folder: load_or_make_secret(folder, FACTOR_KEY, 32),
    EXTENSION_KEY: ExtensionKey.open,
}
each_key = pytest.mark.parametrize("name", OPENERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trust"


@each_key
def test_a_key_is_made_once_and_for_its_owner_alone(folder: Path, name: str) -> None:
    first = OPENERS[name](folder)
    assert OPENERS[name](folder) == first
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == {name, f"{name}.made"}


def test_secrets_are_random_and_as_long_as_asked(folder: Path) -> None:
    one, other = load_or_make_secret(folder, "one.key", 32), load_or_make_secret(folder, "other.key", 32)
    assert len(one) == len(other) == 32
    assert one != other


@each_key
def test_a_key_that_was_lost_is_never_made_anew(folder: Path, name: str) -> None:
    OPENERS[name](folder)
    (folder / name).unlink()
    with pytest.raises(TrustError, match="has gone") as refusal:
        OPENERS[name](folder)
    assert "identity file" in refusal.value.todo
    assert not (folder / name).exists()


@each_key
def test_a_key_that_was_never_made_is_just_not_there(folder: Path, name: str) -> None:
    assert read_key(folder, name) is None
    assert not folder.exists()


@each_key
def test_a_power_cut_before_the_note_does_no_harm(folder: Path, name: str) -> None:
    first = OPENERS[name](folder)
    (folder / f"{name}.made").unlink()
    assert OPENERS[name](folder) == first
    (folder / name).unlink()
    with pytest.raises(TrustError, match="has gone"):
        OPENERS[name](folder)


@each_key
@pytest.mark.parametrize("content", [b"", b"cut", bytes(33)])
def test_a_damaged_key_is_refused_and_left_alone(folder: Path, name: str, content: bytes) -> None:
    keep_key(folder, name, content)
    with pytest.raises(TrustError, match="damaged"):
        OPENERS[name](folder)
    assert (folder / name).read_bytes() == content


@each_key
def test_a_key_that_others_may_read_is_refused(folder: Path, name: str) -> None:
    OPENERS[name](folder)
    (folder / name).chmod(0o640)
    with pytest.raises(TrustError, match="0640") as refusal:
        OPENERS[name](folder)
    assert "chmod 600" in refusal.value.todo


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(TrustError, match="write"):
        load_or_make_secret(folder, FACTOR_KEY, 32)


def test_a_link_in_place_of_a_key_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(bytes(32))
    (tmp_path / "elsewhere").chmod(0o600)
    (folder / FACTOR_KEY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrustError):
        load_or_make_secret(folder, FACTOR_KEY, 32)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_only_rsa_keys_of_2048_bits_sign_extensions(folder: Path) -> None:
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(TrustError, match="damaged"):
            ExtensionKey.from_pem(pem(key), folder)


def test_a_key_of_which_any_number_was_damaged_is_told(folder: Path) -> None:
    ExtensionKey.open(folder)
    private = serialization.load_pem_private_key((folder / EXTENSION_KEY).read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    whole = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    own, public = private.private_numbers(), private.public_key().public_numbers()
    for number in (public.n, public.e, own.d, own.p, own.q, own.dmp1, own.dmq1, own.iqmp):
        as_it_stands = number.to_bytes(number.bit_length() // 8 + 1)
        for part in (0.1, 0.5, 0.9):
            content = bytearray(whole)
            content[whole.index(as_it_stands) + int(len(as_it_stands) * part)] ^= 0x10
            lines = (b"-----BEGIN PRIVATE KEY-----\n", base64.encodebytes(content), b"-----END PRIVATE KEY-----\n")
            (folder / EXTENSION_KEY).write_bytes(b"".join(lines))
            with pytest.raises(TrustError, match="damaged"):
                ExtensionKey.open(folder)


@pytest.mark.parametrize(
    ("public_key", "expected"),
    [
        (b"test", "jpignaibiiemhngfjkcpokkamffknabf"),  # Chromium's own tests of Extension::GenerateId
        (b"_", "ncocknphbhhlhkikpnnlmbcnbgdempcd"),
    ],
)
def test_extension_ids_are_those_of_chromium(public_key: bytes, expected: str) -> None:
    assert extension_id(public_key) == expected


def test_the_id_belongs_to_the_public_half_of_the_key_on_disk(folder: Path) -> None:
    key = ExtensionKey.open(folder)
    private = serialization.load_pem_private_key((folder / EXTENSION_KEY).read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size == 2048
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert key.extension_id == extension_id(der)
    assert set(key.extension_id) <= set("abcdefghijklmnop")
