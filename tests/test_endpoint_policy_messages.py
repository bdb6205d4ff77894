"""Policies as they are sent to browsers: version, signature, and what has changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from appliance.endpoints import policies as sending
from appliance.endpoints.messages import Alive, Malformed, Whole, from_base64url, read_later
from appliance.endpoints.policies import Inexpressible, Policies, difference, patched, signed_bytes, spelled
from appliance.keys_on_disk import ExtensionKey

scalars = st.text(max_size=5) | st.integers() | st.booleans()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ExtensionKey:
    return ExtensionKey.open(tmp_path_factory.mktemp("key") / "trust")


def wanted(**plugins: Any) -> dict[str, Any]:
    return {"monitored": True, "exempt": ["a.test"], "plugins": plugins}


def sent(policies: Policies, what: dict[str, Any], known: str = "") -> dict[str, Any]:
    message: dict[str, Any] = json.loads(policies.message(policies.of(what), browser="KEY", serial=7, known=known))
    return message


def test_a_policy_is_sent_whole_with_a_signature_for_this_browser_alone(key: ExtensionKey) -> None:
    message = sent(Policies(key.sign), wanted(keyword={"terms": {"é": 1}, "b": [True, "x"]}))
    assert message["policy"] == wanted(keyword={"terms": {"é": 1}, "b": [True, "x"]})
    assert (message["serial"], "patch" in message) == (7, False)
    public = serialization.load_der_public_key(key.public_key)
    assert isinstance(public, rsa.RSAPublicKey)
    said = b"appliance policy v1\0KEY\0" + b"7\0" + message["version"].encode()
    assert said == signed_bytes("KEY", 7, message["version"])
    public.verify(from_base64url(message["signature"]), said, padding.PKCS1v15(), hashes.SHA256())


def test_the_version_is_the_hash_of_the_content_however_it_is_put_together(key: ExtensionKey) -> None:
    policies = Policies(key.sign)
    first = policies.of(wanted(a={"x": {"1": 1, "2": 2}}, b={}))
    same = policies.of(dict(reversed(wanted(b={}, a={"x": {"2": 2, "1": 1}}).items())))
    assert first.version == same.version
    part = hashlib.sha256(b'{"1":1,"2":2}').hexdigest()
    top = f'{{"exempt":["a.test"],"monitored":true,"plugins":{{"a":{{"x":"{part}"}},"b":{{}}}}}}'
    assert first.version == hashlib.sha256(top.encode()).hexdigest()
    assert policies.of(wanted(a={"x": {"1": 1, "2": 3}}, b={})).version != first.version


def test_whoever_has_one_of_the_last_versions_gets_what_has_changed(key: ExtensionKey) -> None:
    policies = Policies(key.sign)
    before, after = {str(n): f"term {n}" for n in range(100)}, {str(n): f"term {n}" for n in range(1, 101)}
    first = sent(policies, wanted(keyword={"terms": before}))
    second = sent(policies, wanted(keyword={"terms": after}), known=first["version"])
    assert second["from"] == first["version"]
    assert second["patch"] == {"plugins": {"keyword": {"terms": {"0": None, "100": "term 100"}}}}
    assert patched(first["policy"], second["patch"]) == wanted(keyword={"terms": after})
    assert "policy" in sent(policies, wanted(keyword={"terms": after}), known="of another box")
    assert "policy" in sent(policies, wanted(keyword={"terms": {"z": "quite another"}}), known=first["version"])
    unsaid = sent(policies, wanted(keyword={"terms": {**before, "0": None}}), known=first["version"])
    assert unsaid["policy"]["plugins"]["keyword"]["terms"]["0"] is None  # no patch can say that


def test_old_versions_are_forgotten_when_they_take_too_much_room(
    key: ExtensionKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_KEPT_CHARACTERS", 10_000)
    policies = Policies(key.sign)
    texts = [{str(n): "x" * 50 for n in range(first, first + 50)} for first in range(9)]
    versions = [sent(policies, wanted(keyword={"terms": text}))["version"] for text in texts]
    last = wanted(keyword={"terms": texts[-1] | {"more": "y"}})
    assert "policy" in sent(policies, last, known=versions[0])
    assert "patch" in sent(policies, last, known=versions[-1])


def test_what_browsers_share_is_spelled_once(key: ExtensionKey, monkeypatch: pytest.MonkeyPatch) -> None:
    policies, shared, count = Policies(key.sign), {"a": "b"}, [0]

    def counting(value: Any) -> str:
        count[0] += value is shared
        return spelled(value)

    monkeypatch.setattr(sending, "spelled", counting)
    versions = {policies.of({**wanted(keyword={"terms": shared}), "own": [str(n)]}).version for n in range(20)}
    assert (len(versions), count[0]) == (20, 1)


def test_what_is_no_policy_is_left_out_alone(key: ExtensionKey, caplog: pytest.LogCaptureFixture) -> None:
    message = sent(Policies(key.sign), wanted(half={"share": 0.5}, odd={"what": object()}, good={"n": 1}))
    assert list(message["policy"]["plugins"]) == ["good"]
    assert "half has no policy for devices" in caplog.text


@given(values, values)
def test_a_difference_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    assert patched(before, difference(before, after)) == after
    if isinstance(before, dict):
        assert patched(before, {}) == before


def test_a_difference_cannot_say_null() -> None:
    with pytest.raises(Inexpressible):
        difference({}, {"a": {"b": None}})
    assert patched({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}) == {"a": {"c": 2}}


def test_what_a_browser_says_later_is_checked() -> None:
    assert isinstance(read_later('{"type": "whole"}'), Whole)
    assert isinstance(read_later('{"type": "alive"}'), Alive)
    for text in ('{"type": "hello"}', "[]", "{}", "x"):
        with pytest.raises(Malformed):
            read_later(text)
