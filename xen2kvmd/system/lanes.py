# SPDX-License-Identifier: GPL-2.0-or-later
"""Work on several disks at once, a thread for each lane: in one are those that share a device.

These would hinder each other: the heads of a hard disk would move between them.
"""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from xen2kvmd.system.measure import Progress

MOST = 4  # lanes at once


@dataclass(frozen=True)
class Work:
    """Work on one disk: do() returns its result; bytes is an estimate, 0 where it is not known."""

    name: str
    lane: str
    bytes: int
    do: Callable[[Progress], str]


class _Ended(Exception):
    """Another work has failed, or nobody waits for the results any more."""


class _Tally:
    """The progress of all works together, added up from what each tells of itself."""

    def __init__(self, works: Sequence[Work], progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done = {work.name: (0, work.bytes) for work in works}
        self.ended = False

    def tell(self, name: str, done: int, total: int) -> None:
        with self._lock:
            if self.ended:
                raise _Ended
            self._done[name] = done, total
            all_done, all_total = map(sum, zip(*self._done.values(), strict=True))
            self._progress(all_done, all_total)


def done_in_lanes(
    works: Sequence[Work], progress: Progress
) -> Generator[tuple[str, str], None, None]:
    """Yield the name and the result of each work when it is done; those of a lane are in order.

    progress(done, total) is called by one thread at a time; what it raises, or a work does, ends
    the others and is raised here.
    """
    tally = _Tally(works, progress)
    lanes: dict[str, list[Work]] = {}
    for work in works:
        lanes.setdefault(work.lane, []).append(work)
    results: queue.Queue[tuple[str, str] | Exception] = queue.Queue()

    def run(lane: Sequence[Work]) -> None:
        try:
            for work in lane:
                results.put((work.name, work.do(partial(tally.tell, work.name))))
        except _Ended:
            pass
        except Exception as error:  # raised again below
            tally.ended = True
            results.put(error)

    with ThreadPoolExecutor(MOST, thread_name_prefix="lane") as threads:
        try:
            for lane in lanes.values():
                threads.submit(run, lane)
            for _ in works:
                result = results.get()
                if isinstance(result, Exception):
                    raise result
                yield result
        finally:
            tally.ended = True
