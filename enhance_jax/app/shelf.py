"""Temporary files of the page's visitors: apart, unguessable, soon gone."""

import dataclasses
import os
import pathlib
import secrets
import shutil
import tempfile
import threading
import time

from enhance_jax import errors, images
from enhance_jax.app.limits import Limits

# Results, and previews, that a visitor keeps; the oldest goes for a new one.
KEPT = 2


class CancelledError(Exception):
  """The visitor asked for an end of the work."""


@dataclasses.dataclass
class Session:
  """What is kept of one open page.

  Attributes:
    folders: of its results and of its previews, the oldest first.
    cancel: set to end the work that was begun last.
    seen: when it was used last, in seconds of `time.monotonic`.
    part: a cut-out for the preview, and what it was cut from.
  """

  folders: dict[str, list[pathlib.Path]]
  cancel: threading.Event
  seen: float
  part: tuple[object, images.Picture] | None = None


class Shelf:
  """The one folder of a running server, and who has what in it.

  Names of folders and keys are random (128 bits), never what a visitor sent;
  who was not told one cannot ask for it.
  """

  def __init__(self, limits: Limits):
    """Makes a folder that only this user can read."""
    self.limits = limits
    made = tempfile.mkdtemp(prefix="enhance_jax-page-")
    self.root = pathlib.Path(made).resolve()
    self._lock = threading.Lock()
    self._sessions: dict[str, Session] = {}
    self._views: dict[str, pathlib.Path] = {}

  def session(self, name: str | None) -> Session:
    """The session of that name, begun if it is new; counts as a use."""
    now = time.monotonic()
    with self._lock:
      session = self._sessions.setdefault(
        name or secrets.token_hex(16), Session({}, threading.Event(), now)
      )
      session.seen = now
      return session

  def begin(
    self, session: Session, kind: str
  ) -> tuple[pathlib.Path, threading.Event]:
    """A fresh folder for one piece of work, and the sign that cancels it.

    Args:
      session: whose work it is.
      kind: of work; the folders of each kind are counted apart.

    Raises:
      EnhanceError: the temporary files have reached their bound.
    """
    self.check_room()
    folder = self.root / secrets.token_hex(16)
    folder.mkdir(mode=0o700)
    with self._lock:
      session.cancel = threading.Event()
      folders = session.folders.setdefault(kind, [])
      folders.append(folder)
      old = folders[:-KEPT]
      del folders[:-KEPT]
    self._drop(old)
    return folder, session.cancel

  def cancel(self, name: str | None) -> None:
    """Ends the work of a session at its next tile."""
    with self._lock:
      session = self._sessions.get(name or "")
    if session is not None:
      session.cancel.set()

  def end(self, name: str | None) -> None:
    """Cancels a session's work and removes its files."""
    self.cancel(name)
    with self._lock:
      session = self._sessions.pop(name or "", None)
    if session is not None:
      self._drop(_all(session))

  def publish(self, path: pathlib.Path) -> str:
    """A key under which the page shows a file as long as it is there."""
    key = secrets.token_urlsafe(24)
    with self._lock:
      self._views[key] = path
    return key

  def view(self, key: str) -> pathlib.Path | None:
    """The file behind a key; None if there is none (any more)."""
    with self._lock:
      path = self._views.get(key)
    return path if path is not None and path.is_file() else None

  def used_bytes(self) -> int:
    """Of all temporary files together."""
    return sum(_stat(p)[0] for p in self.root.rglob("*") if p.is_file())

  def check_room(self) -> None:
    """Refuses more temporary files than there may be.

    Raises:
      EnhanceError: says how much there is.
    """
    used = self.used_bytes()
    if used > self.limits.disk_bytes:
      raise errors.EnhanceError(
        f"the page keeps {used / 2**30:.1f} GiB of temporary files, the limit "
        f"is {self.limits.disk_bytes / 2**30:.1f}; close pages that are done, "
        "or wait until old files are removed"
      )

  def sweep(self) -> None:
    """Removes sessions and files that have not been used for long."""
    limit = time.monotonic() - self.limits.keep_seconds
    with self._lock:
      old = [name for name, one in self._sessions.items() if one.seen < limit]
      mine = {p for one in self._sessions.values() for p in _all(one)}
    for name in old:
      self.end(name)
    # Uploads, which lie outside the sessions' folders.
    before = time.time() - self.limits.keep_seconds
    for path in self.root.iterdir():
      newest = max([_stat(path)[1], *(_stat(p)[1] for p in path.rglob("*"))])
      if path not in mine and newest < before:
        self._drop([path])

  def close(self) -> None:
    """Removes everything."""
    for name in list(self._sessions):
      self.cancel(name)
    shutil.rmtree(self.root, ignore_errors=True)

  def _drop(self, folders: list[pathlib.Path]) -> None:
    with self._lock:
      self._views = {
        key: path
        for key, path in self._views.items()
        if not any(path.is_relative_to(folder) for folder in folders)
      }
    for folder in folders:
      shutil.rmtree(folder, ignore_errors=True)


def _all(session: Session) -> list[pathlib.Path]:
  return [folder for kind in session.folders.values() for folder in kind]


def _stat(path: pathlib.Path) -> tuple[int, float]:
  """(bytes, time of the last change); a file that has just gone has none."""
  try:
    found = os.stat(path, follow_symlinks=False)
  except OSError:
    return 0, 0.0
  return found.st_size, found.st_mtime
