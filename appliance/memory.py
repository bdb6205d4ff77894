"""What was opened must not linger in the memory of the main process once it is closed again.

Python gives freed memory back to a pool as it was, so a child's words would stay readable there for hours, for whoever
has root on the box. Three variables, read when a process starts, change that: ``PYTHONMALLOC=malloc`` sends every
object through the C library, like the buffers of OpenSSL and SQLite, and glibc then overwrites each block as it is
freed (``perturb``) unless the block goes to a per-thread cache first (``tcache``), which is therefore switched off.
Large blocks go back to the system (``mmap_threshold``). Kept as free memory they cost seconds: each block that grows
into such a neighbour has the whole rest of it overwritten (2.7 s for reading 3 MB of JSON, 0.02 s without).
``LD_BIND_NOW`` has functions of libraries looked up at the start: glibc looks others up at their first call, keeps all
registers on the stack meanwhile, and with AVX-512 one of them holds 64 letters of what was copied last
(``_dl_runtime_resolve``).

Measured with words that were posted over TLS, sealed, stored, opened, rendered and sent: without this, 41,529 copies
were found after the last was let go, with it none; with ``perturb`` alone 597. A page costs 14% more processor time
(2.8 to 3.2 ms) and a start 0.13 s more. Python's own debug allocator overwrites too, but left copies where C libraries
had them. Other C libraries than glibc ignore ``GLIBC_TUNABLES``.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping

ENVIRONMENT: Mapping[str, str] = {
    "LD_BIND_NOW": "1",
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": ":".join((
        "glibc.malloc.tcache_count=0", "glibc.malloc.perturb=165", "glibc.malloc.mmap_threshold=131072",
    )),
}  # fmt: skip
"""The main process is started with these: by the trial's supervisor, and by ``systemd/appliance.service``."""


def forget() -> None:
    """Free what nothing reaches any more but a circle of references keeps: of what has come since ``settle``, in some
    milliseconds; of everything in tenths of a second, in which nobody else is answered.

    To be called when keys are wiped: at sign-out and when a browser is locked. What is not in a circle is freed, and
    with ``ENVIRONMENT`` overwritten, at once.
    """
    gc.collect()


def settle() -> None:
    """Take what is there now for what stays, so that nobody looks through it again.

    To be called when a start is through and before anybody is answered: nothing that was opened is there then, and no
    answer waits a tenth of a second until all has been looked through.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
