"""What a table may hold at most. The limits bound memory before anything is parsed, far above what is proven."""

from fedproof.learning.architecture import MAX_WIDTH
from fedproof.learning.fixed import BATCH

MIN_ROWS = BATCH
"""A participant with less than one batch trains on padding, so none is that small."""

MAX_ROWS = 1 << 20
MAX_FEATURES = 4095
MAX_CLASSES = MAX_WIDTH
MAX_VALUES = 1 << 24
"""Rows times features: 128 MiB of float64."""

MAX_FILE_BYTES = 256 << 20
MAX_LINE_BYTES = 1 << 20
MAX_CELL_BYTES = 1 << 17

MAX_MAGNITUDE = 1e100
"""A larger value is a damaged file, and its square would overflow the scale of its column."""

MAX_STREAMED_BYTES = 64 << 30
MAX_STREAMED_ROWS = 1 << 27
"""What `prepare` takes, which holds one batch of rows at a time."""

BATCH_CELLS = 1 << 19
MAX_BATCH_ROWS = 1 << 16
BATCH_BYTES = 1 << 25
"""Cells of a file, rows, and bytes of text, that are in memory at once while it is streamed."""
