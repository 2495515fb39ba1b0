"""The rows of the ledger, in its order, a file for each subject. `base` has what they share."""

from rows import bfloat16, digits, likelihood, losses, others, penalties, stacked, tasks, techniques, toys

ROWS = [
    row
    for subject in (likelihood, toys, stacked, penalties, losses, techniques, digits, tasks, bfloat16, others)
    for row in subject.ROWS
]
