"""Two kinds of work at once: one in a thread, the other where it is used."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent import futures
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
  function: Callable[[Item], Result], items: Iterable[Item], *, depth: int = 1
) -> Generator[Result]:
  """Maps in a thread of its own, ahead of the caller; order is kept.

  `items` is walked where this is iterated, so two of them make a pipeline of
  three stages: `ahead(write, map(compute, ahead(read, paths)))` reads, computes
  and writes at once, and computes in the caller's thread.

  Args:
    function: what the thread does.
    items: what it is done to.
    depth: how many are begun or ready beyond the one that is given out.

  Yields:
    `function(item)` of each, and raises what it raised.
  """
  waiting: collections.deque[futures.Future[Result]] = collections.deque()
  with futures.ThreadPoolExecutor(1) as thread:
    try:
      for item in items:
        waiting.append(thread.submit(function, item))
        if len(waiting) > depth:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      for future in waiting:
        future.cancel()
