"""Why a site is blocked: in a child's words for whoever met it, and in staff's words for whoever decides.

A locked list is one that nobody at the school can change, because of the law. Of such a list nothing is told but that
there is one: neither its name nor what it is about, to nobody, because what it holds must not be found out by trying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.api import ExemptPlace

from ..lists.shipped import BY_LAW
from .others import Decided, Others

BECAUSE: Mapping[str, str] = {
    "hate": "It says cruel things about people because of who they are.",
    "self_harm": "It could make hard feelings worse. If you are having a hard time, you deserve help, and there are "
    "people who want to listen.",
    "eating_disorders": "It could make worries about food and your body worse. You deserve help, and there are people "
    "who want to listen.",
    "adult": "It has things on it that are made for adults.",
    "strangers": "It puts people in touch with strangers, and some adults use that to trick children.",
    "dating": "It is for adults who want to meet somebody.",
    "drugs": "It is about drugs.",
    "weapons": "It is about weapons.",
    "violence": "It shows people or animals being hurt.",
    "alcohol_tobacco": "It is about alcohol, smoking or vaping, which are for adults.",
    "gambling": "It is for betting with money, which is for adults.",
    "bypass": "It is a way around the school’s filter.",
    "malware": "It can harm your computer or phone.",
    "phishing": "It tries to trick people, for example to get passwords or money.",
    "hacking": "It is about breaking into other people’s computers.",
    "piracy": "It shares films, games or music without being allowed to.",
    "cheating": "It writes people’s homework for them.",
    "ai_chat": "It is a chat with a computer (AI chat), and your school has switched that off here.",
    "social_media": "It is social media, and your school has switched that off here.",
    "messaging": "It is for sending messages, and your school has switched that off here.",
    "games": "It is for games, and your school has switched that off here.",
    "streaming": "It is for films or music, and your school has switched that off here.",
    "file_sharing": "It is for sharing files, and your school has switched that off here.",
    "fake_news": "It tells things that are not true as if they were.",
    "shopping": "It is a shop, and your school has switched that off here.",
    "advertising": "It is for adverts, or for following what people do on the internet.",
}
"""By category of websites. What is not here, and every category that a school adds, is told in general words."""
IN_GENERAL = "It is on a list of sites that your school does not open here."
HELP_FIRST = frozenset({"self_harm", "eating_disorders"})
"""What these are about is told after the help, not before it."""

_BY_WHY: Mapping[str, str] = {
    "entry": "Somebody at your school has blocked it.",
    "only": "Right now, only a few sites open here, and this is not one of them.",
    "bypass": BECAUSE["bypass"],
    "canary": BECAUSE["bypass"],
    "plugin": "Something your school uses has switched it off for now.",
    "rebind": "It leads to a place inside your school’s network, and sites of the internet are not let in there.",
}
NOBODY_CAN_OPEN = frozenset({"canary", "rebind"})
"""No entry of the school opens it, so nobody is asked for it."""
_STAFF_BY_WHY: Mapping[str, str] = {
    "entry": "An entry of the school’s own",
    "only": "Only sites on the allow list open in this profile",
    "bypass": "A known way around the filter",
    "canary": "A known way around the filter",
    "plugin": "Another part of the appliance blocked it for a while",
    "": "Nothing blocked the name itself; perhaps it leads to another site that is blocked",
}

_HELP = ("childline.org.uk", "giveusashout.org", "youngminds.org.uk", "samaritans.org")
_HELP_BY_CATEGORY: Mapping[str, Sequence[str]] = {
    "self_harm": ("childline.org.uk", "giveusashout.org", "papyrus-uk.org", "samaritans.org"),
    "eating_disorders": ("childline.org.uk", "beateatingdisorders.org.uk", "youngminds.org.uk"),
    "strangers": ("childline.org.uk", "ceop.police.uk", "reportharmfulcontent.com"),
    "dating": ("childline.org.uk", "ceop.police.uk", "reportharmfulcontent.com"),
    "adult": ("childline.org.uk", "ceop.police.uk", "takeitdown.ncmec.org"),
    "drugs": ("childline.org.uk", "talktofrank.com"),
    "gambling": ("childline.org.uk", "gamcare.org.uk", "bigdeal.org.uk"),
}
_HELP_BY_LAW = ("stopitnow.org.uk", "iwf.org.uk", "childline.org.uk", "ceop.police.uk")
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What the page says. ``kind``: ``blocked``, ``law``, ``open`` (nothing blocks it now) or ``stranger``."""

    kind: str
    because: str
    help_first: bool = False
    may_ask: bool = False


def told(decided: Decided | None, others: Others) -> Told:
    """What is told to whoever met a block, about the host itself."""
    if decided is None:
        return Told("stranger", "")
    if decided.verdict != "blocked":
        return Told("open", "", may_ask=decided.verdict == "allowed")
    if decided.why == "locked list" or decided.category in BY_LAW:  # told alike, whichever list it was
        return Told("law", "")
    if decided.why == "service":
        because = f"Your school has switched {others.service_title(decided.rule)} off here."
    else:
        because = _BY_WHY.get(decided.why) or BECAUSE.get(decided.category, IN_GENERAL)
    may_ask = decided.why not in NOBODY_CAN_OPEN
    return Told("blocked", because, help_first=decided.category in HELP_FIRST, may_ask=may_ask)


def staff_words(why: str, list_name: str, category: str, others: Others) -> str:
    """Why something is blocked, for whoever decides. A locked list never gets as far as this."""
    if why == "service":
        return f"The service {others.service_title(list_name)} is switched off"
    if why in _STAFF_BY_WHY:
        return _STAFF_BY_WHY[why]
    title = others.list_title(list_name) if list_name else ""
    about = others.category_title(category) if category else ""
    return ": ".join(part for part in (about, f"list {title}" if title else "") if part) or "A list"


def help_places(places: Sequence[ExemptPlace], kind: str, category: str) -> list[ExemptPlace]:
    """Places where help is found, which nothing blocks or notes: those that fit first, some in any case."""
    wanted = _HELP_BY_LAW if kind == "law" else _HELP_BY_CATEGORY.get(category, _HELP)
    by_host = {place.host: place for place in places}
    found = [by_host[host] for host in wanted if host in by_host]
    rest = [place for place in places if place not in found]
    return found + rest[: max(0, FEWEST - len(found))]
