"""Records: CSV and scikit-learn readers, the public schema, the split into parts, the wire form of records.

Nothing here opens a network connection. Raw values never appear in an error message: it names file, row and column.
"""

from fedproof.data.load import load
from fedproof.data.records import Records
from fedproof.data.schema import Schema
from fedproof.data.split import Parts, capacity_rows, split
from fedproof.data.table import Table

__all__ = ["Parts", "Records", "Schema", "Table", "capacity_rows", "load", "split"]
