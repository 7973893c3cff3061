"""How much the page takes from the people who use it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
  """Bounds of one server.

  Attributes:
    file_bytes: of one uploaded file.
    json_bytes: of a request that carries no file.
    result_pixels: of what a network makes, before any resampling; therefore a
      picture is refused by its header, before it is decoded.
    files: pictures of one batch.
    disk_bytes: of all temporary files together.
    keep_seconds: how long temporary files outlive their last use.
    waiting: jobs that may wait for their turn.
    connections: open at a time.
  """

  file_bytes: int = 64 << 20
  json_bytes: int = 256 << 10
  result_pixels: int = 256_000_000
  files: int = 20
  disk_bytes: int = 4 << 30
  keep_seconds: float = 3600.0
  waiting: int = 16
  connections: int = 128

  @property
  def request_bytes(self) -> int:
    """Of everything in one request, which may carry several files."""
    return 4 * self.file_bytes
