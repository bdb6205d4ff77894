"""What the code of a worker process may use: small, so that a worker starts in a moment. It holds no code."""

from appliance.clock import stamp
from appliance.errors import ApplianceError
from appliance.net import local_addresses, port_holder, resolver_addresses
from appliance.worker_link import WorkerContext

__all__ = [
    "ApplianceError",
    "WorkerContext",
    "local_addresses",
    "port_holder",
    "resolver_addresses",
    "stamp",
]
