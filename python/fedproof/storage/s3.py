"""S3 and what speaks like it: how long to wait for a server that does not answer, and how much to send at a time.

The time-outs of the driver and of the libraries below it count only while an answer is awaited. A server that takes a
connection and is silent before it allows an upload, or stops reading in the middle of one, would hold a node for good;
and with all their repetitions one that is silent later would hold it for six minutes. So every call has a deadline.
And the driver sends 50 MiB at a time, for which a slow line would need longer. Nodes come back by themselves: an error
after half a minute is better than an answer after six.

Everything else is up to the operator's settings of driver and library (`docs/storage.md`).
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final

from fsspec.asyn import sync_wrapper

CALL_SECONDS: Final = 30.0
"""For one call with all its repetitions; a piece of `PIECE_BYTES` passes in that time at 1.4 Mbit/s."""
PIECE_BYTES: Final = 5 << 20
"""The least that servers take as a part of a larger file."""


def open_s3(address: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The driver for an address, and the path inside it: as `fsspec.url_to_fs`, with deadlines.

    Raises:
        ImportError: the driver is not installed.
    """
    kind = _driver()
    # not one that was opened before with other settings; and what other nodes put must show at once
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}
    return kind(**fresh, **options), kind._strip_protocol(address)


@functools.cache
def _driver() -> Any:
    import s3fs  # type: ignore[import-untyped]  # it ships no types, and is installed by those alone who use it

    class PatientS3(s3fs.S3FileSystem):  # type: ignore[misc]
        default_block_size = PIECE_BYTES

        async def _call_s3(self, *arguments: Any, **named: Any) -> Any:
            return await asyncio.wait_for(super()._call_s3(*arguments, **named), CALL_SECONDS)

        call_s3 = sync_wrapper(_call_s3)  # what open files use; the driver's own is bound to its own method

    return PatientS3
