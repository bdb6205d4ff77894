"""The second factor: codes of an app as every app makes them, each good once; printed codes; secrets sealed at rest."""

from __future__ import annotations

import secrets
from base64 import b32decode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from appliance.accounts.second_factor import (
    CODES,
    STEP_SECONDS,
    FactorKey,
    code_at,
    new_codes,
    new_secret,
    provisioning_uri,
    qr_code,
    secret_text,
    step_for,
    step_of,
)

SECRET = b"12345678901234567890"
"""That of RFC 6238 appendix B."""
MOMENT = datetime(2026, 11, 24, 9, 30, 10, tzinfo=UTC)
NOW = step_of(MOMENT)


@pytest.mark.parametrize(
    ("seconds", "eight_digits"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_rfc_6238_appendix_b_cut_to_six_digits(seconds: int, eight_digits: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert code_at(SECRET, step_of(moment)) == eight_digits[2:]
    assert step_for(SECRET, eight_digits[2:], moment, last_step=0) == seconds // STEP_SECONDS


@pytest.mark.parametrize("away", range(-4, 5))
def test_a_code_of_this_step_and_its_neighbours_counts(away: int) -> None:
    found = step_for(SECRET, code_at(SECRET, NOW + away), MOMENT, last_step=0)
    assert found == (NOW + away if -1 <= away <= 1 else None)


@pytest.mark.parametrize("used", [-1, 0, 1])
@pytest.mark.parametrize("away", [-1, 0, 1])
def test_a_code_counts_once_and_none_before_it_either(used: int, away: int) -> None:
    found = step_for(SECRET, code_at(SECRET, NOW + away), MOMENT, last_step=NOW + used)
    assert found == (NOW + away if away > used else None)


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "12345", "1234567", "abcdef", "-12345", "0x1f2e", "\uff11\uff12\uff13\uff14\uff15\uff16"),
        *("\udcff", "9" * 100_000, "123 456 789"),
    ],
)
def test_what_is_no_code_counts_for_nothing(typed: str) -> None:
    assert step_for(SECRET, typed, MOMENT, last_step=0) is None


def test_a_code_may_be_typed_with_spaces() -> None:
    code = code_at(SECRET, NOW)
    assert step_for(SECRET, f" {code[:3]} {code[3:]}\n", MOMENT, last_step=0) == NOW


@given(st.binary(min_size=20, max_size=20), st.integers(1, 2**33))
def test_codes_have_six_digits_and_leading_zeros(secret: bytes, step: int) -> None:
    code = code_at(secret, step)
    assert len(code) == 6
    assert code.isascii()
    assert code.isdigit()


def test_an_app_reads_the_secret_from_the_code_and_from_the_letters() -> None:
    secret = new_secret()
    assert len(secret) == 20
    assert b32decode(secret_text(secret).replace(" ", "")) == secret
    uri = urlsplit(provisioning_uri(secret, "anna", "St Mary’s"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    told = parse_qs(uri.query)
    assert told["secret"] == [secret_text(secret).replace(" ", "")]
    assert told["issuer"] == ["St Mary’s"]
    assert (told["digits"], told["period"], told["algorithm"]) == (["6"], ["30"], ["SHA1"])
    picture = qr_code(uri.geturl())
    assert picture.startswith("<svg")
    assert "style=" not in picture


# What is kept


def key() -> FactorKey:
    made = secrets.token_bytes(32)
    return FactorKey(lambda: made)


def test_a_sealed_secret_opens_for_its_own_account_and_key_alone() -> None:
    own = key()
    sealed = own.seal("anna", SECRET)
    assert SECRET not in sealed
    assert own.open("anna", sealed) == SECRET
    for opener, account, text in (
        (own, "bob", sealed),
        (own, "form factor anna", sealed),
        (key(), "anna", sealed),
        (own, "anna", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(InvalidTag):
            opener.open(account, text)
    assert own.seal("anna", SECRET) != sealed


@given(st.binary(max_size=80))
def test_what_comes_from_outside_is_refused_without_a_fault(sent: bytes) -> None:
    with pytest.raises(ValueError, match="not sealed by this appliance"):
        key().open_or_refuse("anna", sent)


def test_the_key_is_read_when_it_is_needed_and_once() -> None:
    asked = []

    def read() -> bytes:
        asked.append(1)
        return bytes(32)

    made = FactorKey(read)
    assert not asked
    made.open("anna", made.seal("anna", SECRET))
    made.hash_codes("anna", ["one"])
    assert len(asked) == 1


# Recovery codes


def test_there_are_eight_codes_that_nobody_can_guess() -> None:
    codes = new_codes()
    assert len(set(codes)) == CODES == 8
    assert all(len(code.replace("-", "")) * 5 >= 80 for code in codes)


def test_each_code_is_good_once_in_any_order_and_however_it_is_typed() -> None:
    own, codes = key(), new_codes()
    left = own.hash_codes("anna", codes)
    assert len(left) == 32 * CODES
    for number, code in enumerate(reversed(codes), 1):
        after = own.use_code("anna", left, f" {code.lower().replace('-', ' ')} ")
        assert after is not None
        assert len(after) == 32 * (CODES - number)
        assert own.use_code("anna", after, code) is None
        left = after


def test_a_code_counts_for_its_own_account_under_its_own_key_alone() -> None:
    own, codes = key(), new_codes()
    kept = own.hash_codes("anna", codes)
    assert own.use_code("bob", kept, codes[0]) is None
    assert key().use_code("anna", kept, codes[0]) is None
    assert own.use_code("anna", b"", codes[0]) is None


@given(st.text())
def test_what_is_no_recovery_code_uses_none_up(typed: str) -> None:
    own = key()
    assert own.use_code("anna", own.hash_codes("anna", new_codes()), typed) is None


def test_the_neighbours_are_a_minute_and_a_half() -> None:
    """What a clock may be wrong by, either way, before a fresh code is refused."""
    fresh = code_at(SECRET, NOW)
    late = [seconds for seconds in range(0, 120) if step_for(SECRET, fresh, MOMENT + timedelta(seconds=seconds), 0)]
    early = [seconds for seconds in range(0, 120) if step_for(SECRET, fresh, MOMENT - timedelta(seconds=seconds), 0)]
    assert (max(late), max(early)) == (49, 40)
