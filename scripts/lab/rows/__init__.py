"""The rows of the ledger, in its order, a file for each subject. `base` has what they share."""

from rows import digits, every, likelihood, losses, penalties, stacked, tasks, techniques, toys

ROWS = [
    row
    for subject in (likelihood, toys, stacked, penalties, losses, techniques, digits, tasks, every)
    for row in subject.ROWS
]
