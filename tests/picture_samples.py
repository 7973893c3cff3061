"""Pictures and files for tests, made by writers of their own."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def smooth(height, width, channels, dtype=np.uint8):
  """A soft picture with its full range in use, kind to lossy formats."""
  i, j, c = np.ogrid[:height, :width, :channels]
  x = (np.sin(i / 9 + c) + np.cos(j / 7 - c / 2)) / 4 + 0.5
  return np.floor(x * np.iinfo(dtype).max).astype(dtype)


def noise(height, width, channels, dtype=np.uint8):
  rng = np.random.default_rng(5)
  top = int(np.iinfo(dtype).max) + 1
  x = rng.integers(0, top, (height, width, channels), dtype)
  x[0, 0], x[0, 1] = 0, top - 1
  return x


def exif_block(orientation=None):
  tags = Image.Exif()
  tags[271] = "Camera maker"
  tags.get_ifd(34665)[33434] = 0.02  # exposure time, in the EXIF directory
  if orientation:
    tags[274] = orientation
  return tags.tobytes()


def tags_of(block):
  tags = Image.Exif()
  tags.load(block)
  return tags


def png_chunk(name, data):
  check = zlib.crc32(name + data)
  return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def png_file(pixels, *, size=None, interlaced=False, extra=b""):
  """An independent PNG writer: filter 0, optional Adam7 and extra chunks."""
  height, width, channels = pixels.shape
  depth = 8 * pixels.dtype.itemsize
  kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
  wide, high = size or (width, height)
  head = struct.pack(">IIBBBBB", wide, high, depth, kind, 0, 0, int(interlaced))
  passes = [(0, 0, 1, 1)]
  if interlaced:
    passes = [
      (0, 0, 8, 8),
      (0, 4, 8, 8),
      (4, 0, 8, 4),
      (0, 2, 4, 4),
      (2, 0, 4, 2),
      (0, 1, 2, 2),
      (1, 0, 2, 1),
    ]
  big = pixels.astype(pixels.dtype.newbyteorder(">"))
  rows = b"".join(
    b"\0" + row.tobytes()
    for top, left, down, right in passes
    for row in big[top::down, left::right]
    if row.size
  )
  return b"".join(
    [
      b"\x89PNG\r\n\x1a\n",
      png_chunk(b"IHDR", head),
      extra,
      png_chunk(b"IDAT", zlib.compress(rows)),
      png_chunk(b"IEND", b""),
    ]
  )


def tiff_file(pixels, *, order="<", photometric=None, bits=None, kinds=None):
  """An independent, uncompressed baseline TIFF writer."""
  height, width, channels = pixels.shape
  data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
  bits = bits or 8 * pixels.dtype.itemsize
  if photometric is None:
    photometric = 2 if channels >= 3 else 1
  entries = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * channels)]
  entries += [(259, 3, [1]), (262, 3, [photometric]), (273, 4, [8])]
  entries += [(277, 3, [channels]), (278, 3, [height]), (279, 4, [len(data)])]
  if kinds is not None:
    entries.append((338, 3, [kinds]))
  data += b"\0" * (len(data) % 2)
  start = 8 + len(data)
  behind = start + 2 + 12 * len(entries) + 4
  directory, tail = struct.pack(order + "H", len(entries)), b""
  for tag, kind, values in entries:
    packed = struct.pack(f"{order}{len(values)}{'HI'[kind - 3]}", *values)
    if len(packed) > 4:
      offset = struct.pack(order + "I", behind + len(tail))
      packed, tail = offset, tail + packed + b"\0" * (len(packed) % 2)
    head = struct.pack(order + "HHI", tag, kind, len(values))
    directory += head + packed.ljust(4, b"\0")
  magic = b"II*\0" if order == "<" else b"MM\0*"
  header = magic + struct.pack(order + "I", start)
  return header + data + directory + b"\0\0\0\0" + tail


def encoded(kind, pixels=None):
  buffer = io.BytesIO()
  Image.fromarray(noise(64, 64, 3) if pixels is None else pixels).save(
    buffer, kind
  )
  return buffer.getvalue()
