"""Storage: content-addressed blobs in a folder, in memory, on S3 or on IPFS, over fsspec.

The stores are not trusted: a blob's id is the SHA-256 of its bytes and is checked on every read. Failures are
`StorageError`, a wrong address is an `InputError`.
"""

from fedproof.storage.content import ContentId, content_id, content_id_from_word, content_id_to_word, sealed_digest
from fedproof.storage.store import BlobStore

__all__ = [
    "BlobStore",
    "ContentId",
    "content_id",
    "content_id_from_word",
    "content_id_to_word",
    "sealed_digest",
]
