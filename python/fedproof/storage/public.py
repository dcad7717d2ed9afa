"""Named files that somebody publishes in a folder or at a URL: what a second machine starts from.

Nothing here is checked by a content id. Who reads says by other means that the file is right.
"""

from __future__ import annotations

import io
from typing import Any, Final, cast

from fedproof.errors import InputError, StorageError
from fedproof.storage.backend import open_address, storage_errors

_PIECE: Final = 1 << 20


def read_public(base: str, name: str, limit: int) -> bytes | None:
    """The file `name` in a folder or below a URL that fsspec has a driver for; None when there is none.

    Raises:
        InputError: there is no driver for the URL.
        StorageError: it cannot be read, is larger than `limit` bytes, cut off, or sent compressed.
    """
    try:
        fs, root = open_address(base)
    except (ImportError, ValueError):
        raise InputError(
            f"no driver for {base.split('://', 1)[0]}:// is installed; give a folder or another URL"
        ) from None
    path = f"{root.rstrip('/')}/{name}"
    failed = f"{name} cannot be read from {base.rsplit('@', 1)[-1]}"
    out = io.BytesIO()  # gives its bytes away without a copy, which may be gigabytes
    with storage_errors(failed):
        try:
            with fs.open(path, "rb", block_size=0) as file:  # as it comes: plain web servers know no ranges
                announced = _announced(file, failed)
                while max(out.tell(), announced or 0) <= limit and (piece := file.read(_PIECE)):
                    out.write(piece)
        except FileNotFoundError:
            return None
    if max(out.tell(), announced or 0) > limit:
        raise StorageError(f"{name} has more than {limit} bytes; it is not what it should be")
    return out.getvalue()


def _announced(file: Any, failed: str) -> int | None:
    """The bytes that a web server says will come; None where nobody says.

    Raises:
        StorageError: they are compressed, though the file was asked for as it is.
    """
    answer = getattr(file, "r", None)
    if answer is None:
        return None
    if answer.headers.get("Content-Encoding", "identity") not in ("", "identity"):
        raise StorageError(f"{failed}: the server sends it compressed; have it served as it is")
    return cast(int | None, answer.content_length)
