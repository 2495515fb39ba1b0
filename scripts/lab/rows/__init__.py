"""The rows of the ledger, in its order, a file for each subject. `base` has what they share."""

from rows import bfloat16, digits, every, likelihood, losses, penalties, stacked, tasks, techniques, toys

ROWS = [
    row
    for subject in (likelihood, toys, stacked, penalties, losses, techniques, digits, tasks, bfloat16, every)
    for row in subject.ROWS
]
