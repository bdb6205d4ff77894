"""What was made of files that come with the plugin, kept so that the next process has it at once.

As Python keeps its compiled modules beside their sources, it stands in ``__pycache__`` beside the file, in the same
form as those (``marshal``), if that folder may be written. It is as trustworthy as the modules beside it.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.api import write_atomically


def kept(beside: Path, form: int, source: bytes, make: Callable[[], Any]) -> Any:
    """What ``make`` gives: plain data, as it was kept for the same ``source`` or made now. ``form`` is counted on when
    ``make`` gives something else for the same source. Raises what ``make`` raises."""
    digest = _digest(f"{form} ".encode() + source)
    file = beside.parent / "__pycache__" / f"{beside.stem}.{sys.implementation.cache_tag}.kept"
    with suppress(OSError):
        content = file.read_bytes()
        body = memoryview(content)[2 * len(digest) :]
        if content.startswith(digest + _digest(body)):
            return marshal.loads(body)  # noqa: S302 - as Python reads the modules beside it
    made = make()
    with suppress(OSError):
        if not file.parent.exists():
            file.parent.mkdir()
            file.parent.chmod(0o755)  # root makes it when the appliance is installed, and the service is to read it
        written = marshal.dumps(made)
        write_atomically(file, digest + _digest(written) + written, 0o644)
    return made


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).digest()
