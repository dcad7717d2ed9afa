"""Named files that somebody publishes in a folder or at a URL: what a second machine starts from.

Nothing here is checked by a content id. Who reads says by other means that the file is right.
"""

from __future__ import annotations

from typing import Final

import fsspec

from fedproof.errors import InputError, StorageError
from fedproof.storage.backend import storage_errors

_PIECE: Final = 1 << 20


def read_public(base: str, name: str, limit: int) -> bytes | None:
    """The file `name` in a folder or below a URL that fsspec has a driver for; None when there is none.

    Raises:
        InputError: there is no driver for the URL.
        StorageError: it cannot be read, or is larger than `limit` bytes.
    """
    try:
        fs, root = fsspec.url_to_fs(base)
    except (ImportError, ValueError):
        raise InputError(
            f"no driver for {base.split('://', 1)[0]}:// is installed; give a folder or another URL"
        ) from None
    path = f"{root.rstrip('/')}/{name}"
    out = bytearray()
    with storage_errors(f"{name} cannot be read from {base.rsplit('@', 1)[-1]}"):
        try:
            with fs.open(path, "rb", block_size=0) as file:  # as it comes: plain web servers know no ranges
                while len(out) <= limit and (piece := file.read(_PIECE)):
                    out += piece
        except FileNotFoundError:
            return None
    if len(out) > limit:
        raise StorageError(f"{name} has more than {limit} bytes; it is not what it should be")
    return bytes(out)
