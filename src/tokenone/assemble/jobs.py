"""The jobs process: ships ledger entries to the index and tidies up, until it is told to stop."""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

from tokenone.assemble.files import LEDGER_DIRECTORY
from tokenone.assemble.logs import log_as_json
from tokenone.assemble.spec import JobsSpec, receive, refuse
from tokenone.clock import AnchoredClock
from tokenone.errors import TokenOneError
from tokenone.jobs import ship_forever, tidy_forever
from tokenone.store import Index, Store


async def _run() -> None:
    spec, inherited = receive(JobsSpec)
    clock = AnchoredClock()
    store = await Store.open(spec.database_url, clock)
    index = await Index.open(spec.index_url, clock)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ledger = Path(spec.directory) / LEDGER_DIRECTORY
    work = [
        asyncio.create_task(ship_forever(ledger, index)),
        asyncio.create_task(tidy_forever(store)),
    ]
    inherited.say_ready()
    await stop.wait()
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    await index.close()
    await store.close()


def main() -> None:
    """Runs the jobs."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log_as_json()
    try:
        asyncio.run(_run())
    except TokenOneError as error:
        refuse("jobs", error)


if __name__ == "__main__":
    main()
