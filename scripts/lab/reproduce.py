"""Reproduce published figures and write the ledger, docs/results.md. See docs/evaluation.md."""

import itertools
import json
import os
import sys
import time

from lab import common, machine, use_threads  # first: it sets the environment up

import keras
import numpy as np
import tensorflow as tf

from gan_keras import files, recipes, settings
from gan_keras.classifier import DigitClassifier
from gan_keras.identifiers import unknown
from rows import ROWS, base


def parse(argv):
    parser = common.Parser(description=__doc__)
    tables = list(dict.fromkeys(row.table for row in ROWS))
    names = list(dict.fromkeys([*tables, *(row.name for row in ROWS)]))
    parser.add_argument(
        "--only", nargs="+", metavar="ROW", help=f"of {', '.join(tables)}; or one of a table, as TABLE.CASE; default: all"
    )
    parser.add_argument("--seeds", type=common.between(1, 1000), metavar="K", help="seeds 0 to K - 1; default: the row's")
    parser.add_argument(
        "--threads",
        type=common.between(0, 1000),
        default=0,
        metavar="N",
        help="of TensorFlow; 0 leaves it the choice",
    )
    parser.add_argument("--again", action="store_true", help="run also what docs/results holds already")
    args = parser.parse_args(argv)
    for name in args.only or ():
        if name not in names:
            raise unknown("row", name, names)
    return args


@common.command
def main(argv=None):
    args = parse(argv)
    use_threads(args.threads)
    (base.DOCS / "results").mkdir(exist_ok=True)
    chosen = [row for row in ROWS if not args.only or {row.name, row.table} & set(args.only)]
    asked = [(row, seed) for row in chosen for seed in range(args.seeds or row.seeds)]
    todo = [(row, seed) for row, seed in asked if args.again or seed not in [run["seed"] for run in runs_of(row)]]
    print(f"{len(todo)} runs: {', '.join(f'{row.name} seed {seed}' for row, seed in todo) or 'nothing to do'}", flush=True)
    conditions = {
        "threads": args.threads or os.cpu_count(),
        "classifier": DigitClassifier().identity,
        "versions": settings.versions(),
        **machine(),
    }
    failed = []
    for number, (row, seed) in enumerate(todo, 1):
        try:
            result = run(row, seed, conditions)
        except (ValueError, FloatingPointError, tf.errors.OpError) as error:
            failed.append(row.name)
            failure = common.one_line(f"{row.name} seed {seed} failed: {error}")
            print(f"[{number}/{len(todo)}] {failure}", file=sys.stderr, flush=True)
            continue
        told = f"{row.name} seed {seed}, {result['minutes']} minutes: {result['cases']}"
        print(f"[{number}/{len(todo)}] {told}", flush=True)
        write_ledger()
    write_ledger()
    print(f"Ledger: {base.DOCS / 'results.md'}")
    return 1 if failed else 0


def run(row, seed, conditions):
    """What docs/results holds of a row's run, once it is made and written."""
    started = time.perf_counter()
    cases = row.run(seed)
    result = {
        "row": row.name,
        "seed": seed,
        "cases": cases,
        "recipes": {name: recipes.get(name).values() for name in row.uses},
        "constants": row.constants,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        **conditions,
    }
    (base.DOCS / "results" / f"{row.name}-{seed}.json").write_text(json.dumps(result, indent=1) + "\n")
    keras.backend.clear_session()
    return result


def runs_of(row):
    """The runs of a row whose recipes and constants are still what they were."""
    runs = [json.loads(path.read_text()) for path in sorted((base.DOCS / "results").glob(f"{row.name}-[0-9]*.json"))]
    return [
        run for run in runs if recipes.unchanged(run.get("recipes", {}), row.uses) and run.get("constants", {}) == row.constants
    ]


def write_ledger():
    """docs/results.md from the runs in docs/results, and from nothing else."""
    lines = [
        "# Results",
        "",
        "Published results next to ours.",
        "`python scripts/lab/reproduce.py` writes this page from the files of the runs in `docs/results/`; do not edit it.",
        "Ours are means +- standard deviations (n - 1) over seeds.",
        "",
    ]
    for _, rows in itertools.groupby(ROWS, key=lambda row: row.table):
        lines += section([(row, runs_of(row)) for row in rows])
    with files.replacing(base.DOCS / "results.md") as temporary:
        temporary.write_text("\n".join(lines).rstrip() + "\n")


def section(table):
    """The lines of a table, of its rows and their runs. Text and columns are those of the first row."""
    row = table[0][0]
    lines = [f"## {row.title}", "", f"- Source: {row.source}.", f"- Protocol: {row.protocol}."]
    lines += [f"- Published: {row.published}."] if row.published else []
    lines += [f"- What differs: {row.differs}.", f"- Command: `python scripts/lab/reproduce.py --only {row.table}`", ""]
    every = [run for _, runs in table for run in runs]
    if not every:
        return [*lines, "Not run yet.", ""]
    lines += [f"| | {' | '.join(map(base.title, row.figures))} | seconds of training |"]
    lines += ["|---|" + "---|" * (len(row.figures) + 1)]
    for _, runs in table:
        for case in dict.fromkeys(case for run in runs for case in run["cases"]):
            of_case = [run["cases"][case] for run in runs if case in run["cases"]]
            cells = [cell([c[name] for c in of_case if name in c], form) for name, form in row.figures.items()]
            seconds = cell([c["seconds"] for c in of_case if "seconds" in c], "{:.0f}")
            line = f"| {case} | {' | '.join(cells)} | {seconds} |"
            lines += [] if line in lines else [line]  # rows may share the case of real images
    seeds, threads, features = (sorted({run[name] for run in every}) for name in ("seed", "threads", "classifier"))
    lines += [
        "",
        f"Seeds {', '.join(map(str, seeds))}; {', '.join(map(str, threads))} thread(s); "
        f"{sum(run['minutes'] for run in every):.0f} minutes in all; features {', '.join(features)}; "
        f"TensorFlow {every[0]['versions']['tensorflow']}, Keras {every[0]['versions']['keras']}.",
    ]
    missing = [f"{row.name} ({len(runs)} of {row.seeds} seeds)" for row, runs in table if len(runs) < row.seeds]
    if missing:
        lines += ["", f"To be run: {', '.join(missing)}."]
    for row, runs in table:
        lines += aim(row, runs) if row.goal and runs else []
        for name in row.pictures:
            if (base.DOCS / "results" / f"{name}.png").exists():
                lines += ["", f"![{row.title}, seed 0](results/{name}.png)"]
    return [*lines, ""]


def aim(row, runs):
    case, figure, text, reached = row.goal
    of_case = [run["cases"][case] for run in runs]
    each = ""
    if figure:
        each = f" ({', '.join(row.figures[figure].format(c[figure]) if figure in c else 'diverged' for c in of_case)})"
    verdict = "Reached" if reached(of_case) else "Falls short"
    if len(runs) < row.seeds:
        verdict = f"{len(runs)} of {row.seeds} seeds run"
    return ["", f"Aim: {text}. **{verdict}**{each}."]


def cell(values, form):
    """Mean and standard deviation of numbers; of booleans how many are true."""
    if not values:
        return ""
    if isinstance(values[0], bool):
        return f"{sum(values)} of {len(values)}"
    middle = form.format(np.mean(values))
    if len(values) == 1 or not np.isfinite(values).all():  # infinity: the KL where no sample is near a mode
        return middle
    return f"{middle} +- {form.format(np.std(values, ddof=1))}"


if __name__ == "__main__":
    sys.exit(main())
