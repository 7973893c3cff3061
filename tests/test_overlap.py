"""Work in a thread beside the caller's: order, bounds, errors, endings."""

import threading

import pytest

from enhance_jax.inference import overlap


def test_results_come_in_order_from_another_thread():
  threads = set()

  def double(x):
    threads.add(threading.get_ident())
    return 2 * x

  assert list(overlap.ahead(double, range(50))) == [2 * x for x in range(50)]
  assert len(threads) == 1 and threading.get_ident() not in threads


def test_items_are_taken_by_the_caller_and_only_a_few_ahead():
  taken, ready = [], threading.Event()

  def items():
    for i in range(20):
      taken.append((i, threading.get_ident()))
      yield i

  def wait(x):
    ready.wait(10)
    return x

  results = overlap.ahead(wait, items(), depth=3)
  threading.Timer(0.1, ready.set).start()
  assert next(results) == 0
  assert len(taken) <= 5
  assert {ident for _, ident in taken} == {threading.get_ident()}
  assert list(results) == list(range(1, 20))


def test_the_caller_works_while_the_thread_does():
  began, done = threading.Event(), threading.Event()

  def read(x):
    if x == 1:
      began.set()
      assert done.wait(10)
    return x

  results = overlap.ahead(read, range(2), depth=1)
  assert next(results) == 0
  assert began.wait(10), "the next is begun before it is asked for"
  done.set()
  assert list(results) == [1]


def test_an_error_comes_where_its_result_would():
  def odd(x):
    if x == 2:
      raise ValueError("two")
    return x

  got = []
  with pytest.raises(ValueError, match="two"):
    for x in overlap.ahead(odd, range(9)):
      got.append(x)
  assert got == [0, 1]


def test_closing_drops_what_waits():
  seen = []
  results = overlap.ahead(seen.append, range(1000), depth=4)
  next(results)
  results.close()
  before = len(seen)
  assert before < 20
  assert threading.active_count() < 20 and len(seen) == before
