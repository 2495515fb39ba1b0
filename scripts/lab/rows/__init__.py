"""The rows of the ledger, in its order, a file for each subject. `base` has what they share."""

from rows import digits, every, likelihood, losses, stacked, toys
from rows.base import Row

__all__ = ["ROWS", "Row"]

ROWS = [
    row
    for subject in (likelihood, toys, stacked, losses, digits, every)
    for row in subject.ROWS
]
