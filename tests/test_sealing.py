"""Envelopes and keys: what is sealed opens for its recipients alone, and whatever was touched opens for nobody."""

from __future__ import annotations

import pickle
import re
import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import sealing
from appliance.errors import Refused
from appliance.sealing import (
    BUCKETS,
    LARGEST,
    MOST_RECIPIENTS,
    Keys,
    Recipient,
    SealError,
    key_from_recovery,
    new_pair,
    new_recovery_key,
    open_envelope,
    open_key,
    public_of,
    read_header,
    read_recovery_key,
    seal,
    seal_key,
    unwrap,
    wipe,
    wrap,
)

ITEM = "0193a1b2-0000-7000-8000-00000000000a"
VAULT = "0193a1b2-0000-7000-8000-0000000000aa"
OTHER = "0193a1b2-0000-7000-8000-0000000000bb"
PRIVATE, PUBLIC = new_pair()
HEAD = 1 + 1 + 16 + 1 + len("note")
"""Length of the header of an envelope of kind "note"."""
PLACE = 16 + 4 + 80


def keys_for(*places: tuple[str, int]) -> Keys:
    keys = Keys("account", new_pair()[0])
    for vault, epoch in places:
        keys.put(vault, epoch, PRIVATE)
    return keys


def sealed(content: bytes = b"what a child wrote", kind: str = "note", epoch: int = 1) -> bytes:
    return seal(content, ITEM, kind, [Recipient(VAULT, epoch, PUBLIC)])


# Sealing and opening


@given(st.binary(max_size=3000), st.from_regex(r"[a-z0-9][a-z0-9 ._-]{0,31}", fullmatch=True), st.uuids())
def test_what_is_sealed_opens_as_it_was(content: bytes, kind: str, item: uuid.UUID) -> None:
    envelope = seal(content, str(item), kind, [Recipient(VAULT, 7, PUBLIC)])
    assert open_envelope(envelope, keys_for((VAULT, 7))) == content
    header = read_header(envelope)
    assert (header.item_id, header.kind, header.recipients) == (str(item), kind, ((VAULT, 7),))


def test_each_recipient_opens_it_and_nobody_else() -> None:
    private, public = new_pair()
    envelope = seal(b"for two", ITEM, "note", [Recipient(VAULT, 3, PUBLIC), Recipient(OTHER, 2**32 - 1, public)])
    second = Keys("account", new_pair()[0])
    second.put(OTHER, 2**32 - 1, private)
    assert open_envelope(envelope, keys_for((VAULT, 3))) == open_envelope(envelope, second) == b"for two"
    for stranger in (keys_for(), keys_for((VAULT, 4)), keys_for((ITEM, 3))):
        with pytest.raises(SealError, match="not among those who can open"):
            open_envelope(envelope, stranger)
    with pytest.raises(SealError, match="damaged or changed"):
        open_envelope(envelope, keys_for((OTHER, 2**32 - 1)))  # the right place, another key


def test_the_same_content_is_never_sealed_the_same_way() -> None:
    one, two = sealed(), sealed()
    assert one[:HEAD] == two[:HEAD]
    assert len(one) == len(two)
    assert not set(_pieces(one)) & set(_pieces(two))


def _pieces(envelope: bytes) -> list[bytes]:
    body = envelope[HEAD + 1 + 20 :]
    return [body[at : at + 16] for at in range(0, len(body) - 15, 4)]


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        (0, 256), (252, 256), (253, 1024), (1020, 1024), (1021, 4096), (4092, 4096), (4093, 16384), (16380, 16384),
        (16381, 65536), (65532, 65536), (65533, 131072), (131068, 131072), (131069, 196608),
    ],
)  # fmt: skip
def test_the_length_of_an_envelope_tells_its_bucket_alone(length: int, bucket: int) -> None:
    envelope = sealed(bytes(length))
    assert len(envelope) == HEAD + 1 + PLACE + 12 + bucket + 16
    assert open_envelope(envelope, keys_for((VAULT, 1))) == bytes(length)


def test_what_is_too_large_is_refused_in_words() -> None:
    with pytest.raises(Refused, match="too large"):
        sealed(bytes(LARGEST - 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: seal(b"", ITEM, "", [Recipient(VAULT, 1, PUBLIC)]),
        lambda: seal(b"", ITEM, "Note", [Recipient(VAULT, 1, PUBLIC)]),
        lambda: seal(b"", ITEM, "n" * 33, [Recipient(VAULT, 1, PUBLIC)]),
        lambda: seal(b"", ITEM, "note\n", [Recipient(VAULT, 1, PUBLIC)]),
        lambda: seal(b"", "no id", "note", [Recipient(VAULT, 1, PUBLIC)]),
        lambda: seal(b"", ITEM, "note", []),
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, 1, PUBLIC)] * 2),
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, n, PUBLIC) for n in range(1, MOST_RECIPIENTS + 2)]),
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, 0, PUBLIC)]),
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, 2**32, PUBLIC)]),
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, 1, bytes(32))]),  # no point of the curve to agree with
        lambda: seal(b"", ITEM, "note", [Recipient(VAULT, 1, PUBLIC[:31])]),
    ],
)
def test_what_no_envelope_can_have_is_a_mistake_of_ours(make: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        make()


# Damage


def test_every_single_byte_is_vouched_for_to_every_reader() -> None:
    """Also those that another reader's key is sealed in."""
    envelope = seal(b"x", ITEM, "note", [Recipient(VAULT, 1, PUBLIC), Recipient(OTHER, 1, PUBLIC)])
    keys = keys_for((VAULT, 1))
    assert open_envelope(envelope, keys) == b"x"
    for at in range(len(envelope)):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(envelope)
            changed[at] ^= mask
            with pytest.raises(SealError):
                open_envelope(bytes(changed), keys)


def test_every_shortening_and_lengthening_is_refused() -> None:
    envelope, keys = sealed(), keys_for((VAULT, 1))
    for end in range(len(envelope)):
        with pytest.raises(SealError):
            open_envelope(envelope[:end], keys)
    for more in (b"\0", bytes(16), bytes(768), envelope):
        with pytest.raises(SealError):
            open_envelope(envelope + more, keys)


@given(st.binary(max_size=700))
@settings(max_examples=300)
def test_no_bytes_crash_the_parser(noise: bytes) -> None:
    for attempt in (noise, b"\x01\x01" + noise, sealed()[:HEAD] + noise):
        with pytest.raises(SealError) as caught:
            open_envelope(attempt, keys_for((VAULT, 1)))
        assert caught.value.what.endswith(".")


@given(st.data())
@settings(max_examples=200)
def test_no_piece_of_another_envelope_is_taken(data: st.DataObject) -> None:
    one, two = sealed(b"one"), sealed(b"two")
    start = data.draw(st.integers(HEAD + 21, len(one) - 1))  # what stands before is the same in both
    end = data.draw(st.integers(start + 1, len(one)))
    if one[start:end] == two[start:end] or (start, end) == (HEAD + 21, len(one)):
        return
    with pytest.raises(SealError):
        open_envelope(one[:start] + two[start:end] + one[end:], keys_for((VAULT, 1)))


MALFORMED = {
    "another version": (0, b"\x02", "does not know"),
    "another suite": (1, b"\x02", "does not know"),
    "a kind of no length": (18, b"\x00", "what it holds"),
    "a kind in capitals": (19, b"NOTE", "what it holds"),
    "no recipient": (HEAD, b"\x00", "number of its recipients"),
    "too many recipients": (HEAD, bytes([MOST_RECIPIENTS + 1]), "number of its recipients"),
    "epoch 0": (HEAD + 1 + 16, bytes(4), "a key that cannot be"),
}


@pytest.mark.parametrize("how", MALFORMED)
def test_malformed_headers_are_refused_without_any_key(how: str) -> None:
    at, piece, words = MALFORMED[how]
    envelope = sealed()
    with pytest.raises(SealError, match=words):
        read_header(envelope[:at] + piece + envelope[at + len(piece) :])


def test_a_recipient_named_twice_is_refused() -> None:
    envelope = sealed()
    place = envelope[HEAD + 1 : HEAD + 1 + PLACE]
    with pytest.raises(SealError, match="twice"):
        read_header(envelope[:HEAD] + b"\x02" + place * 2 + envelope[HEAD + 1 + PLACE :])


@pytest.mark.parametrize("size", [0, 1, 255, 257, 1023, 65536 + 256, 65536 * 2 - 1, LARGEST + 65536])
def test_a_length_that_sealing_never_makes_is_refused(size: int) -> None:
    with pytest.raises(SealError, match="length"):
        read_header(sealed()[: HEAD + 1 + PLACE + 12] + bytes(size + 16))


@pytest.mark.parametrize(
    "padded",
    [
        struct.pack(">I", 253) + bytes(252),  # more than there is
        struct.pack(">I", 2**32 - 1) + bytes(252),
        struct.pack(">I", 1) + b"x" + bytes(250) + b"\x01",  # not zeros
        struct.pack(">I", 1) + b"x" + bytes(1019),  # the next bucket without need
    ],
)
def test_there_is_one_way_to_pad(padded: bytes) -> None:
    """Somebody who has the public key could seal such content; it is refused although its seal is good."""
    with pytest.raises(SealError, match="padding"):
        open_envelope(by_hand(padded), keys_for((VAULT, 1)))


def by_hand(padded: bytes) -> bytes:
    """An envelope made from the words of docs/envelope.md, without our code."""
    header = b"\x01\x01" + uuid.UUID(ITEM).bytes + b"\x04note"
    place = uuid.UUID(VAULT).bytes + struct.pack(">I", 1)
    item_key, nonce = bytes(range(32)), bytes(12)
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    info = b"appliance envelope v1 item key\0" + header + place
    bound = header + b"\x01" + place + suite.encrypt(item_key, X25519PublicKey.from_public_bytes(PUBLIC), info)
    return bound + nonce + AESGCM(item_key).encrypt(nonce, padded, bound)


def test_an_envelope_made_by_hand_opens() -> None:
    padded = struct.pack(">I", 5) + b"hello" + bytes(247)
    assert open_envelope(by_hand(padded), keys_for((VAULT, 1))) == b"hello"


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SealError, match="not one that sealing makes"):
        open_key(seal_key(b"short", PUBLIC, b"for a test"), PRIVATE, b"for a test")


# Keys


def test_a_key_opens_for_its_receiver_in_its_context_alone() -> None:
    private, public = new_pair()
    package = seal_key(private, PUBLIC, b"vault 1 for ada")
    assert len(package) == 80
    assert open_key(package, PRIVATE, b"vault 1 for ada") == private
    assert public_of(private) == public
    for key, context in ((PRIVATE, b"vault 2 for ada"), (private, b"vault 1 for ada")):
        with pytest.raises(SealError):
            open_key(package, key, context)
    for at in range(len(package)):
        changed = bytearray(package)
        changed[at] ^= 1
        with pytest.raises(SealError):
            open_key(bytes(changed), PRIVATE, b"vault 1 for ada")


def test_a_sealed_key_is_no_item_key_and_the_other_way_round() -> None:
    """The contexts of different uses cannot be mistaken for each other."""
    envelope = sealed()
    header, place = envelope[:HEAD], envelope[HEAD + 1 : HEAD + 1 + PLACE]
    with pytest.raises(SealError):
        open_key(place[20:], PRIVATE, header + place[:20])


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_wrapping(secret: bytes, context: bytes) -> None:
    key, other = bytes(range(32)), bytes(32)
    wrapped = wrap(secret, key, context)
    assert unwrap(wrapped, bytearray(key), context) == secret
    wrong = [(wrapped, other, context), (wrapped, key, context + b"\0")]
    wrong += [(wrapped[:end], key, context) for end in range(len(wrapped))]
    wrong += [(wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :], key, context) for at in range(len(wrapped))]
    for attempt in wrong:
        with pytest.raises(SealError):
            unwrap(*attempt)


def test_wiped_keys_are_zeros_and_open_nothing() -> None:
    keys = keys_for((VAULT, 1), (VAULT, 2), (OTHER, 1))
    held = [keys.private, *keys.of_vault(VAULT).values(), *keys.of_vault(OTHER).values()]
    assert all(any(secret) for secret in held)
    keys.wipe()
    keys.wipe()
    assert [bytes(secret) for secret in held] == [bytes(32)] * 4
    assert keys.is_wiped
    for use in (
        lambda: keys.private,
        lambda: keys.of_vault(VAULT),
        lambda: keys.put(VAULT, 3, PRIVATE),
        lambda: open_envelope(sealed(), keys),
    ):
        with pytest.raises(Refused, match="locked"):
            use()


def test_a_vault_that_is_dropped_is_zeros_and_the_others_stay() -> None:
    keys = keys_for((VAULT, 1), (OTHER, 1))
    held = keys.of_vault(VAULT)[1]
    keys.drop(VAULT)
    keys.drop(VAULT)
    assert (bytes(held), keys.of_vault(VAULT)) == (bytes(32), {})
    assert keys.of_vault(OTHER) == {1: PRIVATE}


def test_keys_are_copies_that_nobody_shows_or_writes_down() -> None:
    private = new_pair()[0]
    keys = Keys("ada", private)
    keys.put(VAULT, 1, private)
    wipe(private)
    assert any(keys.private)
    assert any(keys.of_vault(VAULT)[1])
    assert repr(keys) == str(keys) == "<Keys>"
    with pytest.raises(TypeError):
        pickle.dumps(keys)


# The recovery key


def test_a_recovery_key_is_nine_groups_and_always_another_one() -> None:
    made = {new_recovery_key() for _ in range(50)}
    assert len(made) == 50
    for text in made:
        assert [len(group) for group in text.split(" ")] == [4] * 9
        assert not set(text) & set("ILOU")
    assert len({read_recovery_key(text) for text in made}) == 50


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda text: text.replace(" ", "-"),
        lambda text: text.replace(" ", ""),
        lambda text: f"  {text}\n".replace(" ", " \t"),
        lambda text: text.replace(" ", "\u2013").replace("0", "o").replace("1", "l"),
        lambda text: text.replace("0", "O").replace("1", "I"),
    ],
)
def test_a_recovery_key_is_read_however_it_is_typed(typed: Callable[[str], str]) -> None:
    for _ in range(20):
        text = new_recovery_key()
        assert read_recovery_key(typed(text)) == read_recovery_key(text)


SLIPS = {
    "": "You typed 0",
    "7K3M": "You typed 4",
    "U" * 36: "no “U”",
    "7K3M €": "no “€”",
    "0" * 37: "You typed 37",
    "0" * 36: "There is a slip",
}


@pytest.mark.parametrize("text", SLIPS)
def test_slips_are_told_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=SLIPS[text]):
        read_recovery_key(text)


def test_a_wrong_or_swapped_letter_is_a_slip_and_not_another_key() -> None:
    """A slip gets through once in a million; the key is fixed, so that this test says the same every time."""
    text = "87V847ZTWV53Y2CVD7GKVKQ5T0F0XM7K3DT3"
    assert read_recovery_key(text).hex() == "41f6821ffae6ca3f099b69e13dcee5d01e0ed0f3"
    slips = {text[:at] + symbol + text[at + 1 :] for at in range(36) for symbol in "0123456789ABCDEFGHJKMNPQRSTVWXYZ"}
    slips |= {text[:at] + text[at + 1] + text[at] + text[at + 2 :] for at in range(35)}
    for slip in slips - {text}:
        with pytest.raises(ValueError, match="slip"):
            read_recovery_key(slip)


def test_the_key_of_a_recovery_key_is_always_the_same_one() -> None:
    one, two = key_from_recovery(bytes(20)), key_from_recovery(bytes(19) + b"\x01")
    assert len(one) == 32
    assert one != two
    assert one == key_from_recovery(bytearray(20))
    assert one.hex() == "a48af75cb6b60643591ba2d042c2694e035049f7a5acc5660e303c856b15b9b3"


# The page that describes it


def test_the_page_tells_every_label_and_number() -> None:
    page = " ".join((Path(__file__).parent.parent / "docs" / "envelope.md").read_text().split())
    code = Path(sealing.__file__).read_text()
    labels = re.findall(r'= b"(appliance [a-z0-9 ]+)', code)
    assert len(labels) == 5
    for told in (*labels, ", ".join(map(str, BUCKETS[:-1])), f"or {BUCKETS[-1]} bytes", f"{LARGEST // 2**20} MiB"):
        assert told in page
    assert f"recipients, 1 to {MOST_RECIPIENTS} " in page
