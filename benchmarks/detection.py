"""How fast the keyword engine is, how well it stands disguises, and how often ordinary English sets it off.

``python -m benchmarks.detection [--quick] [--lines FILE]``, one process, which should have a core for itself. Beside us
stand better_profanity and alt-profanity-check, the filters of swearing that Python has, with the lists they come with.

- ``speed``: calls of 4 kB of ordinary English with every view on; p50 and p99 of a call. With all supplied phrases, and
  with 10,000 of them (the first ones of each term); for a text that is ``new``, and once more when its words are
  ``known``, as in a process that has run for some hours.
- ``load``: from the policy files on the disk to an engine that is ready, and what the process takes then.
- ``traps``: the slowest megabyte of those that are made to be slow.
- ``english``: hits for 10,000 words of the King James Bible, fortunes, the Debian handbook and WordNet (definitions and
  examples; Debian's packages, fetched where they are not installed), all of them and Severe ones; and ``together``.
- ``kept``: of 200 supplied phrases, disguised by ``tests/evasions.py``, how many are still found.
- ``--lines``: sentences as JSON lines (``text``, ``category``, ``tier``: must, context, benign, hard) and what is found
  of them, by category.

The peers get a smaller piece of the text: better_profanity takes minutes for a megabyte.
"""

from __future__ import annotations

import argparse
import gzip
import html
import importlib
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from appliance.api import Severity, Surface
from appliance.memory import settle
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.exclusions import supplied
from appliance_plugins.keyword.engine.hits import Hit
from appliance_plugins.keyword.library.model import Policy
from appliance_plugins.keyword.library.reading import read_policies

ROOT = Path(__file__).parents[1]
CALL = 4000
"""Characters of a call."""
FEW = 10_000
PIECE = 200
PEERS = {"better_profanity": "better-profanity==0.7.0", "profanity_check": "alt-profanity-check==1.9.1"}
ENGLISH = ("bible-kjv-text", "bible-kjv", "fortunes", "fortunes-min", "debian-handbook", "wordnet-base")
TRAPS = (
    "a ", "*a", "a*", "@ ", "k.i.l.l.", "k i l l  m e ", "re4lly ", "a", "1a", "%25", "http://a.b/", "a.", "-a",
    "grenn gaint ", "g r33n_g!4nt %41 ", "kill myself ", "want to kill myself ", "my self ", "kil myslef ",
    "wnat to kil my self ", "k1ll mys3lf ", "f*ck u ", "http://a.b/?q=kill+myself ", "i want to die. ",
)  # fmt: skip


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the text")
    parser.add_argument("--lines", type=Path, help="sentences to find, as JSON lines")
    options = parser.parse_args()
    engine, load = _loaded()
    texts = ordinary_english()
    size = 400_000 if options.quick else 4_000_000
    prose = {name: text for name, text in texts.items() if name != "wordnet"}
    figures: dict[str, Any] = {"load": load, "speed": _speeds(engine, prose, size), "traps": _traps(engine)}
    figures["english"] = _english(engine, {name: text[:size] for name, text in texts.items()})
    figures["kept"] = _kept(engine)
    figures["peers"] = _peers(engine, prose, 20_000 if options.quick else 100_000)
    if options.lines:
        figures["lines"] = _lines(engine, options.lines)
    show(figures)
    print(json.dumps(figures))


# Ours


def _loaded() -> tuple[Engine, Mapping[str, float]]:
    before = time.perf_counter()
    policies = read_policies(None)
    read = time.perf_counter()
    engine = Engine(policies, supplied())
    done = time.perf_counter()
    return engine, {
        "terms": sum(len(policy.terms) for policy in policies),
        "phrases": sum(len(term.phrases) for policy in policies for term in policy.terms),
        "read_seconds": round(read - before, 2),
        "engine_seconds": round(done - read, 2),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _speeds(engine: Engine, texts: Mapping[str, str], size: int) -> Mapping[str, Any]:
    engines = {"all phrases": engine, f"{FEW:,} phrases": Engine(_with_few_phrases(), supplied())}
    settle()  # as the process in which detectors run does
    return {name: {state: _speed(one, texts, size) for state in ("new", "known")} for name, one in engines.items()}


def _with_few_phrases() -> list[Policy]:
    """The supplied policies with as many of the first phrases of each term as make ``FEW`` together, or some more."""
    policies = read_policies(None)
    most = 1
    while sum(len(term.phrases[:most]) for policy in policies for term in policy.terms) < FEW:
        most += 1
    return [
        replace(policy, terms=tuple(replace(term, phrases=term.phrases[:most]) for term in policy.terms))
        for policy in policies
    ]


def _speed(engine: Engine, texts: Mapping[str, str], size: int) -> Mapping[str, float]:
    text = "".join(part[: size // max(1, len(texts))] for part in texts.values())
    calls = [text[at : at + CALL] for at in range(0, len(text), CALL)]
    for call in calls[:20]:
        engine.find(call, Surface.TYPED)
    taken = sorted(_seconds(engine, call) for call in calls)
    return {
        "mb_per_second": round(len(text.encode()) / sum(taken) / 1e6, 2),
        "p50_ms": round(median(taken) * 1000, 2),
        "p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 2),
    }


def _seconds(engine: Engine, text: str) -> float:
    before = time.perf_counter()
    engine.find(text, Surface.TYPED)
    return time.perf_counter() - before


def _traps(engine: Engine) -> Mapping[str, Any]:
    taken = {trap: _seconds(engine, (trap * 1_000_000)[:1_000_000]) for trap in TRAPS}
    worst = max(taken, key=taken.__getitem__)
    return {"worst": worst, "seconds": round(taken[worst], 2)}


def _english(engine: Engine, texts: Mapping[str, str]) -> Mapping[str, Any]:
    hits = {name: _hits(engine, text) for name, text in texts.items()}
    words = {name: len(text.split()) for name, text in texts.items()}
    each = {name: _false_alarms(found, words[name]) for name, found in hits.items()}
    return {**each, "together": _false_alarms([hit for found in hits.values() for hit in found], sum(words.values()))}


def _hits(engine: Engine, text: str) -> list[Hit]:
    return [hit for at in range(0, len(text), CALL) for hit in engine.find(text[at : at + CALL], Surface.TYPED)]


def _false_alarms(hits: Sequence[Hit], words: int) -> Mapping[str, Any]:
    severe = sum(hit.severity is Severity.SEVERE for hit in hits)
    return {
        "words": words,
        "per_10k_words": round(len(hits) * 10_000 / words, 2),
        "severe_per_10k_words": round(severe * 10_000 / words, 3),
        "most": Counter(f"{hit.policy.name}/{hit.term.id}" for hit in hits).most_common(5),
    }


def _kept(engine: Engine) -> Mapping[str, float]:
    sys.path.insert(0, str(ROOT / "tests"))
    kinds = importlib.import_module("evasions").KINDS
    source = random.Random(1)
    phrases = [
        (policy.name, phrase.lower())
        for policy in read_policies(None)
        for term in policy.terms
        if term.language == "en" and not term.near
        for phrase in term.phrases
        if re.fullmatch("[a-z ]{10,}", phrase.lower()) and " " in phrase
    ]
    plain = [one for one in source.sample(phrases, min(260, len(phrases))) if _has(engine, *one)][:200]
    return {
        kind: round(100 * sum(_has(engine, name, alter(source, phrase)) for name, phrase in plain) / len(plain), 1)
        for kind, (alter, _) in kinds.items()
    }


def _has(engine: Engine, name: str, text: str) -> bool:
    return any(hit.policy.name == name for hit in engine.find(f"well {text} today", Surface.TYPED))


def _lines(engine: Engine, file: Path) -> Mapping[str, Any]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        hits = engine.find(line["text"], Surface.TYPED)
        tier = line["tier"]
        name = f"must {line['category']}" if tier == "must" else tier
        for key in (name, tier):
            found[key]["lines"] += 1
            found[key]["found"] += bool(hits)
            found[key]["above_minor"] += any(hit.severity is not Severity.MINOR for hit in hits)
            if key == tier == name:
                break
    return {name: dict(counts) for name, counts in sorted(found.items())}


# Peers


def _peers(engine: Engine, texts: Mapping[str, str], size: int) -> Mapping[str, Any]:
    text = "".join(part[: size // max(1, len(texts))] for part in texts.values())
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    ours = _timed(lambda piece: bool(engine.find(piece, Surface.TYPED)), pieces)
    found: dict[str, Any] = {"ours": ours}
    with TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        for module, package in PEERS.items():
            pip = [sys.executable, "-m", "pip", "install", "-q", "--target", folder, package]
            if subprocess.run(pip, capture_output=True, check=False).returncode:
                found[module] = "not installed: pip could not fetch it"
                continue
            figures = _timed(_peer(module), pieces)
            ratio = ours["mb_per_second"] / max(figures["mb_per_second"], 1e-9)
            found[module] = {**figures, "ours_is_faster_by": round(ratio, 1)}
        sys.path.remove(folder)
    return found


def _peer(module: str) -> Callable[[str], bool]:
    if module == "better_profanity":
        profanity = importlib.import_module(module).profanity
        profanity.load_censor_words()
        return lambda piece: bool(profanity.contains_profanity(piece))
    check = importlib.import_module(module)
    return lambda piece: bool(check.predict([piece])[0])


def _timed(ask: Callable[[str], bool], pieces: Sequence[str]) -> dict[str, float]:
    before = time.perf_counter()
    fired = sum(map(ask, pieces))
    seconds = time.perf_counter() - before
    characters = sum(map(len, pieces))
    words = sum(len(piece.split()) for piece in pieces) / 10_000
    return {"mb_per_second": round(characters / seconds / 1e6, 4), "fired_per_10k_words": round(fired / words, 2)}


# Ordinary English


def ordinary_english() -> Mapping[str, str]:
    with TemporaryDirectory() as folder:
        for package in ENGLISH:
            subprocess.run(["apt-get", "download", "-q", package], cwd=folder, capture_output=True, check=False)
        root = Path(folder) / "root"
        for archive in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
        found = {
            "bible": _bible(root),
            "fortunes": _fortunes(root),
            "handbook": _handbook(root),
            "wordnet": _wordnet(root),
        }
    texts = {name: text for name, text in found.items() if len(text) > CALL}
    if not texts:
        raise SystemExit("There is no text: Debian's packages could not be fetched.")
    return texts


def _bible(root: Path) -> str:
    program, data = root / "usr/bin/bible", root / "usr/lib/bible.data"
    if not program.exists():
        return ""
    asked = subprocess.run(
        [program, "-p", str(data.parent), "gen1:1-rev22:21"], capture_output=True, text=True, check=False
    )
    return asked.stdout


def _fortunes(root: Path) -> str:
    files = sorted(path for path in (root / "usr/share/games/fortunes").glob("*") if not path.suffix)
    return "".join(path.read_text(encoding="utf-8", errors="ignore") for path in files)


def _handbook(root: Path) -> str:
    pages = sorted((root / "usr/share/doc/debian-handbook/html/en-US").glob("*.html*"))
    return "\n".join(re.sub("[ \t]+", " ", html.unescape(re.sub("<[^>]+>", " ", _read(page)))) for page in pages)


def _wordnet(root: Path) -> str:
    lines = (line for file in sorted((root / "usr/share/wordnet").glob("data.*")) for line in _read(file).splitlines())
    return "\n".join(line.partition("|")[2].strip() for line in lines if "|" in line)


def _read(page: Path) -> str:
    return gzip.decompress(page.read_bytes()).decode() if page.suffix == ".gz" else page.read_text(encoding="utf-8")


# Printing


def show(figures: Mapping[str, Any]) -> None:
    for name, value in _flat(figures):
        print(f"{name:58} {value}")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name} {key}".strip())
    else:
        yield name, value


if __name__ == "__main__":
    main()
