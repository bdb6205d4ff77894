"""The import rules of the house, read from the syntax trees. A failure names the place and the rule."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "appliance").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.parts)

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "clock", "codes", "memory", "observations", "whole_files", "parents"),
    (
        "hookspecs", "access", "events", "yamlfile", "mistakes", "sections", "settings", "schema", "config", "db",
        "net", "notify", "worker_link",
    ),
    ("sealing", "child_pipes"),
    (
        "live", "migrate", "containment", "bus", "plugin_finder", "probe", "workers", "probed", "schedule",
        "registered", "plugin_authors", "plugin_watch", "audit", "belongings", "page_state", "plugins", "clock_jumps",
    ),
    (
        "health", "timetable", "exempt", "trust", "keys_on_disk", "signing", "assignments", "upkeep", "control",
        "loading", "vaults", "notices", "unusual", "looks", "signed_heads",
        "second_authority", "finding_rules", "webmail", "detector_data", "weighing",
        "names_seen",
        "accounts", "people", "monitoring", "identity", "categories", "captures", "alerts",
    ),
    ("detection", "endpoints", "handed_in", "bench"),
    ("app",),
    ("judging", "verdicts"),
    ("web",),
    (
        *("api", "worker_api", "command_socket", "plugin_commands", "main_process", "trial", "simulated_browser"),
        *("testing", "testing_mail", "testing_school"),
    ),
    ("demo",),
    ("commands",),
    ("__main__",),
)  # fmt: skip
"""From the bottom to the top: a module imports only from its own layer and from those below."""

ONE_HOME = {
    "yaml": {"appliance/yamlfile.py"},
    "pluggy": {"appliance/hookspecs.py", "appliance/plugins.py"},
    "aiosqlite": {"appliance/db.py"},
    "apscheduler": {"appliance/schedule.py"},
    "cryptography": {
        "appliance/trust.py",
        "appliance/second_authority.py",
        "appliance/keys_on_disk.py",
        "appliance/sealing.py",
        "appliance/signing.py",
        "appliance/accounts/passwords.py",
        "appliance/accounts/second_factor.py",
        "appliance/simulated_browser.py",
        "plugins/dns_filter/network/quic.py",  # keys that follow from the packet itself: no secret of anybody's
    },
    "scapy": {"plugins/dns_filter/network/announced.py"},
    "dnslib": {path.relative_to(ROOT).as_posix() for path in (ROOT / "plugins" / "dns_filter").rglob("*.py")},
}
BROAD_CATCHES = {
    "appliance/bus.py": "delivering an event",
    "appliance/containment.py": "calling a plugin",
    "appliance/commands/probe.py": "the outermost loop of a process",
    "plugins/dns_filter/answerer/reactor.py": "the outermost loop of a process",
}
SQL_HOMES = {
    "db", "migrate", "bus", "audit", "plugins", "belongings", "page_state", "assignments",
    "schedule", "upkeep", "control", "vaults", "notices", "looks", "signed_heads",
    "accounts/staff", "accounts/sessions", "accounts/credentials", "accounts/signing_in", "accounts/joining",
    "people/directory", "people/groups", "people/devices", "people/imports", "people/import_steps", "people/listing",
    "people/member_index", "people/naming", "people/vulnerable",
    "monitoring/switching", "monitoring/papers", "monitoring/reviewers", "monitoring/subjects", "monitoring/trials",
    "identity/saving", "identity/restoring",
    "bench/keeping", "captures/keeping", "captures/reading", "captures/judging", "clock_jumps",
    "alerts/alerting", "alerts/presenting", "alerts/silence",
    "endpoints/tokens", "endpoints/enrolment", "endpoints/extension",
    "commands/plugins", "main_process", "testing",
}  # fmt: skip


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def runtime_imports(path: Path) -> tuple[tuple[int, str], ...]:
    """(line, dotted module) of every import that happens when the program runs."""
    return tuple(_runtime_imports(path))


def _runtime_imports(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_the_core_never_imports_a_plugin(path: Path) -> None:
    for line, module in runtime_imports(path):
        assert module.split(".")[0] not in {"appliance_plugins", "plugins"}, f"{relative(path)}:{line}: rule 1"


@pytest.mark.parametrize("path", PLUGINS, ids=relative)
def test_a_plugin_imports_the_api_its_own_folder_and_libraries(path: Path) -> None:
    for line, module in runtime_imports(path):
        where = f"{relative(path)}:{line}: rule 2: {module}"
        is_ours = module.split(".")[0] in {"appliance", "appliance_plugins"}
        assert module in {"appliance.api", "appliance.worker_api"} or not is_ours, where
        depth = len(path.relative_to(ROOT / "plugins").parts) - 1  # 1 in the plugin's folder itself
        assert len(module) - len(module.lstrip(".")) <= depth, where


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=relative)
def test_one_library_has_one_home(path: Path) -> None:
    for line, module in runtime_imports(path):
        homes = ONE_HOME.get(module.split(".")[0])
        assert homes is None or relative(path) in homes, f"{relative(path)}:{line}: rule 4: {module}"


def layer_of(module: str) -> int:
    """The layer of ``appliance.<module>`` or of a path below it."""
    for number, names in enumerate(LAYERS):
        if module in names:
            return number
    raise AssertionError(f"appliance/{module} stands in no layer: add it to LAYERS in {Path(__file__).name}")


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_imports_run_downwards(path: Path) -> None:
    own = path.relative_to(ROOT / "appliance").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for line, module in runtime_imports(path):
        parts = module.split(".")
        if parts[0] != "appliance" or len(parts) == 1:
            continue
        assert layer_of(parts[1]) <= layer_of(own), f"{relative(path)}:{line}: imports {module}, which lies above it"


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=relative)
def test_broad_catches_are_in_three_places_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"everything"}
        if names & {"Exception", "BaseException", "everything"}:
            reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            where = f"{relative(path)}:{node.lineno}: rule 6"
            assert relative(path) in BROAD_CATCHES or reraises, where


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=relative)
def test_sql_is_in_stores_and_core_nouns_only(path: Path) -> None:
    if path.stem == "store" or relative(path).removeprefix("appliance/").removesuffix(".py") in SQL_HOMES:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            start = node.value.lstrip()
            is_sql = start.startswith(("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "CREATE TABLE", "DROP TABLE"))
            assert not is_sql, f"{relative(path)}:{node.lineno}: rule 5: SQL"


@pytest.mark.parametrize("path", [*CORE, *PLUGINS], ids=relative)
def test_no_state_hides_in_modules(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{relative(path)}:{node.lineno}: rule 5: global"
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node.value, ast.List | ast.Dict | ast.Set):
                constant = target.id.lstrip("_").isupper() or target.id == "__all__"
                assert constant, f"{relative(path)}:{node.lineno}: rule 5: {target.id} can change"


def test_the_api_holds_no_code() -> None:
    for node in ast.parse((ROOT / "appliance" / "api.py").read_text(encoding="utf-8")).body:
        fine = isinstance(node, ast.ImportFrom) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        named = (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
        )
        assert fine or named, f"appliance/api.py:{node.lineno}"
