"""Names become comparable, or are refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter.answerer.wire import to_text
from appliance_plugins.dns_filter.domains import NotADomain, normalise, with_parents

LABEL_63 = "a" * 63
NAME_253 = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.org", "example.org"),
        ("  Example.ORG. ", "example.org"),
        ("_dmarc.example.org", "_dmarc.example.org"),
        ("-odd-.example.org", "-odd-.example.org"),
        ("4.example.org", "4.example.org"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え。jp", "xn--r8jz45g.jp"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        (f"{LABEL_63}.org", f"{LABEL_63}.org"),
        (NAME_253, NAME_253),
    ],
)
def test_a_name_is_normalised(text: str, name: str) -> None:
    assert normalise(text) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (".", "empty"),
        ("com", "top-level"),
        ("a..org", "empty part"),
        (".example.org", "empty part"),
        ("exa mple.org", "holds a space, which no domain name has"),
        ("http://example.org/", "':'"),
        ("||example.org^", "'|'"),
        ("a\x00b.org", "'\\x00'"),
        ("10.0.0.1", "a number or an address"),
        ("example.123", "a number or an address"),
        ("☃.net", "international"),
        (f"{LABEL_63}a.org", "longer than 63"),
        (f"{NAME_253}a", "longer than 253"),
    ],
)
def test_what_is_no_name_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(NotADomain, match=why.replace("|", r"\|").replace("\\x00", r"\\x00")):
        normalise(text)


def from_labels(labels: list[bytes]) -> str:
    """What the labels of a query are called."""
    return to_text(b"".join(bytes([len(label)]) + label for label in labels) + b"\0")


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ([], "."),
        ([b"WWW", b"Example", b"org"], "www.example.org"),
        ([b"a.b", b"org"], "a\\046b.org"),
        ([b"<script>", b"org"], "\\060script\\062.org"),
        ([b"\x00\xff", b"org"], "\\000\\255.org"),
    ],
)
def test_labels_become_text(labels: list[bytes], name: str) -> None:
    assert from_labels(labels) == name


@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=6), st.lists(st.binary(min_size=1, max_size=63), max_size=6)
)
def test_different_labels_never_look_alike(one: list[bytes], other: list[bytes]) -> None:
    same = [label.lower() for label in one] == [label.lower() for label in other]
    assert (from_labels(one) == from_labels(other)) == same


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=4))
def test_the_text_of_labels_is_printable(labels: list[bytes]) -> None:
    assert from_labels(labels).isprintable()


@given(st.text())
def test_a_normalised_name_stays_as_it_is(text: str) -> None:
    try:
        name = normalise(text)
    except NotADomain:
        return
    assert normalise(name) == name
    assert from_labels(name.encode().split(b".")) == name


def test_parents_come_closest_first() -> None:
    assert list(with_parents("a.b.example.org")) == ["a.b.example.org", "b.example.org", "example.org", "org"]
    assert list(with_parents("")) == []
