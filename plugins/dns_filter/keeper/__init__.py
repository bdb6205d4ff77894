"""The worker process: keeps sockets, rules and processes that answer, and does their slow errands.

It imports the standard library, ``appliance.worker_api`` and ``answerer/``, so that it is small and quick to start.
"""
