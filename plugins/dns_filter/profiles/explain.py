"""What a device would get for a name, and why, in words. It names no person, and says nothing about places of help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from appliance.api import TargetKind, parse

from .model import Choices
from .policies import FILE, OWN, PLUGIN
from .store import InForce

if TYPE_CHECKING:
    from ..answerer.rules import Decision
    from ..answerer.world import Policy

MODES: Mapping[str, str] = {
    "watch": "is on a trial run: it blocks nothing and notes what it would have blocked",
    "block": "blocks",
    "off": "blocks nothing at this moment but what locked lists name",
}
ANSWERS: Mapping[str, str] = {
    "page": "The device is led to the page that says why.",
    "nxdomain": "The device hears that there is no such site.",
    "refused": "The device hears that the question is refused.",
    "address": "The device gets the address that the settings file names.",
}
CANARY_TOLD = (
    "The device hears no and keeps asking the school, so the filter works on it. Nobody opens this name as a page, and "
    "no other site is blocked by it. An iPhone, iPad or Mac may say that Private Relay is off here. That is right."
)
IN_A_PAUSE_TOO = (
    "That holds in a pause too: a browser that was told yes would still go past the filter when the pause is over."
)
HEADINGS: Mapping[str, tuple[str, str]] = {
    "allowed": ("good", "Open"),
    "blocked": ("moderate", "Blocked"),
    "would block": ("minor", "Open now; blocked once the trial run is over"),
    "rewritten": ("good", "Open, with safe results"),
    "local": ("good", "Answered by this box"),
    "exempt": ("good", "Never touched"),
}


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom it is explained: words for it, the profile, and where that comes from in words.

    ``words``: empty if it was asked for the profile itself.
    """

    words: str
    profile: str
    origin: str = ""
    extra: tuple[str, ...] = ()

    def step(self) -> str:
        """The first step of the answer."""
        if not self.words:
            return f"This is for whoever has the profile {self.profile}."
        return f"{self.words} has the profile {self.profile}: {self.origin}."


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer: a heading with its shape, and the steps that lead to it."""

    name: str
    kind: str
    heading: str
    steps: tuple[str, ...]

    @property
    def is_for_all(self) -> bool:
        """Whether every device gets the same: a place where pupils look for help."""
        return self.steps == (NEVER,)

    def text(self) -> str:
        """For the command line."""
        steps = (f"  {number}. {step}" for number, step in enumerate(self.steps, 1))
        return "\n".join([f"{self.name}: {self.heading}", *steps])


@dataclass(frozen=True, slots=True)
class Led:
    """What an open name led to when it was last asked for, if that is stopped, or what a plugin said of it.

    ``name``: empty if it was not noted; ``decision``: about it; ``at``: when that was (a stamp).
    """

    name: str
    decision: Decision
    at: str


NEVER = "Places where pupils look for help are open for everybody. They are never blocked, listed or counted."


def explain(
    name: str,
    decision: Decision,
    policy: Policy,
    asker: Asker,
    in_force: InForce,
    choices: Choices,
    at: str,
    local: Callable[[str], str],
    led: Led | None = None,
) -> Explanation:
    """``local``: a moment (a stamp) on the school's clocks; ``at``: now; ``led``: where an open name leads, if that is
    stopped."""
    verdict = decision.verdict if led is None else led.decision.verdict
    kind, heading = HEADINGS[verdict]
    if decision.verdict == "exempt":
        return Explanation(name, kind, heading, (NEVER,))
    steps = [asker.step(), *asker.extra]
    pause = in_force.pause_of(policy.profile, at)
    if pause is not None and policy.mode == "off":
        steps.append(f"{pause.author} paused this profile until {local(pause.until)}: {pause.reason}")
    else:
        steps.append(f"This profile {MODES[policy.mode]}.")
    steps.append(_why(name, decision, in_force, choices, local))
    if led is not None:
        steps.append(_led(led, in_force, choices, local))
    if decision.why == "canary" and policy.mode == "off":
        steps.append(IN_A_PAUSE_TOO)
    if verdict == "blocked":
        steps.append(CANARY_TOLD if decision.why == "canary" else ANSWERS[policy.answer])
    return Explanation(name, kind, heading, tuple(steps))


def _why(  # noqa: PLR0911 - a table with conditions
    name: str,
    decision: Decision,
    in_force: InForce,
    choices: Choices,
    local: Callable[[str], str],
) -> str:
    shown, about = _list_title(decision.list, choices), _about(decision, choices)
    match decision.why:
        case "entry":
            return _entry(decision, in_force, local)
        case "locked list":
            return f"The locked list {shown} names {decision.rule}{about}. Nobody can switch a locked list off."
        case "list":
            return f"The list {shown} names {decision.rule}{about}."
        case "service":
            return f"It belongs to {choices.title(f'service:{decision.rule}')}, which this profile blocks."
        case "only":
            return "Only sites that are allowed are open in this profile, and no entry allows this one."
        case "bypass":
            return f"{decision.rule} is a known way around the filter."
        case "canary":
            return f"Browsers and phones ask for {name} to learn whether they may go past the filter."
        case "safesearch":
            return f"It is answered by {decision.target}, so that results are safe."
    if decision.verdict == "local":
        return "This name stands among the school’s own names."
    return "No list that this profile blocks, no service and no entry of the school names it."


def _led(led: Led, in_force: InForce, choices: Choices, local: Callable[[str], str]) -> str:
    when = f"That was so at {local(led.at)}, and is looked at each time."
    if led.decision.why == "rebind":
        return f"But it led to an address inside the school, which a public name must not. {when}"
    if led.decision.why == "plugin":
        why = f": {led.decision.rule}" if led.decision.rule else ""
        return f"But another part of the appliance asked to block it{why}. {when}"
    if led.decision.why == "locked list":  # what such a list holds must not be found out by trying
        return f"But it leads to a site on a locked list, which nobody can switch off. {when}"
    what = f"{led.name}, or for one below it" if led.name else "another site"
    return f"But it is another name for {what}. {_why(led.name, led.decision, in_force, choices, local)} {when}"


_WHOM = {
    TargetKind.NETWORKS: "this network",
    TargetKind.GROUP: "one group or room",
    TargetKind.DEVICE: "this device",
    TargetKind.PERSON: "whoever is signed in there",
}


def _entry(decision: Decision, in_force: InForce, local: Callable[[str], str]) -> str:
    done = "allows" if decision.verdict == "allowed" else "blocks"
    if decision.rule == OWN:
        return "It is a page of this box, which is always open."
    if decision.rule == FILE:
        return "The settings file allows it for this profile."
    if decision.rule == PLUGIN:
        return f"Another part of the appliance {done} it for this device."
    for entry in in_force.entries:
        if entry.id == decision.rule:
            until = f", until {local(entry.until)}" if entry.until else ""
            whom, reason = "", f": {entry.reason}"
            if entry.for_whom is not None:
                whom = f" for {_WHOM[entry.for_whom.kind]}"
                if entry.for_whom.kind is TargetKind.PERSON:  # it may tell about a child
                    reason = ""
            what = f"{entry.domain} with everything below it"
            return f"An entry of the school{whom} {done} {what}{reason} ({entry.author}{until})."
    return f"An entry of the school {done} it."


def _list_title(name: str, choices: Choices) -> str:
    return next((one.title or one.name for one in choices.lists if one.name == name), name)


def _about(decision: Decision, choices: Choices) -> str:
    return f" ({choices.title(f'category:{decision.category}')})" if decision.category else ""


def origins(found: Sequence[tuple[str, str, bool]]) -> str:
    """Where a profile comes from. Each: name of the profile, origin, and whether the choice is about one person.

    The reason of a choice for one person may tell about a child, so it is not told here.
    """
    told = ("somebody chose so for who is signed in there" if personal else origin for _, origin, personal in found)
    words = list(dict.fromkeys(told))
    if len(words) > 1:
        return "several people or devices are there, and the strictest of their profiles counts"
    return words[0]


def on_clock(zone: ZoneInfo) -> Callable[[str], str]:
    """Reads stamps as times of the school."""
    return lambda text: f"{parse(text).astimezone(zone):%d %B %Y, %H:%M}"
