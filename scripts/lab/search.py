"""Search the settings of a recipe on training digits alone: candidates that train for equal time, judged by held-out ones."""

import datetime
import sys
import time

from lab import common, use_threads  # first: it sets the environment up

import keras
import numpy as np

try:
    import optuna
    from optuna.trial import TrialState
except ImportError:
    print("error: The search needs Optuna; not installed: pip install -e '.[lab]'", file=sys.stderr)
    sys.exit(2)

from gan_keras import callbacks, data, evaluation
from rows.base import DOCS, values
from spaces import SPACES

SAMPLES, SEEDS = 5000, (0, 1, 2)
# A candidate's first steps compile; the next tell how many fit into its time.
WARM_UP, TIMED = 20, 100
COLUMNS = ("frechet_distance", "coverage", "recall", "precision", "classifier_score", "share_gap")


class Candidate:
    """What is minimised: a recipe's Frechet distance from held-out digits, trained for so many seconds of processor time."""

    def __init__(self, space, seconds):
        self.space, self.seconds = space, seconds
        self.images, self.labels = data.load("mnist", "train[:50000]")
        self.evaluator = evaluation.Evaluator(self.images, data.load("mnist", "validation")[0], train_labels=self.labels)

    def __call__(self, trial):
        seed = seed_of(trial)
        try:
            _, seconds = self.trained(trial, WARM_UP + TIMED, seed)
            steps = max(1, round(self.seconds / seconds * TIMED))
            gan, seconds = self.trained(trial, WARM_UP + steps, seed)
        except FloatingPointError as error:
            raise optuna.TrialPruned(str(error)) from error
        figures = values(self.evaluator.of_gan(gan, SAMPLES, ("frechet", "score", "manifold"), seed=seed))
        for name, value in {"steps": steps, "seconds": seconds, "figures": figures}.items():
            trial.set_user_attr(name, value)
        return figures["frechet_distance"]

    def trained(self, trial, steps, seed):
        """A GAN, and the processor seconds from the end of its warm-up."""
        keras.backend.clear_session()
        recipe, clock = self.space.recipe(trial, steps), Clock()
        gan = recipe.build(seed=seed)
        stream = recipe.stream(gan, self.images, self.labels, seed)
        gan.fit(stream, steps_per_epoch=steps, verbose=0, callbacks=[callbacks.NonFiniteGuard(), clock])
        return gan, clock.seconds


class Clock(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch < WARM_UP:
            self.started = time.process_time()
        self.seconds = time.process_time() - self.started


def begun(space, file):
    """The study in a file, which several processes may work on; a new one begins with today's recipe and the leads."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    if file.stem in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=file.stem, storage=storage)
    study = optuna.create_study(study_name=file.stem, storage=storage, load_if_exists=True)  # another process may be as fast
    for lead in ({}, *space.leads):
        enqueue(study, {**space.today, **lead})
    return study


def enqueue(study, settings, seed=SEEDS[0]):
    study.enqueue_trial(settings, user_attrs={"seed": seed, "settings": settings})


def seed_of(trial):
    return trial.user_attrs.get("seed", SEEDS[0])


def settings_of(trial, space):
    """All settings of a trial. It has no parameters yet while it waits, and the space may have got settings since."""
    return {**space.today, **trial.user_attrs.get("settings", {}), **trial.params}


def enqueue_interrupted(study, space, longest):
    """Queue again the candidates whose process has ended: those that failed, or began over `longest` seconds ago."""
    before = datetime.datetime.now() - datetime.timedelta(seconds=longest)
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        if trial.datetime_start < before:
            study.tell(trial.number, state=TrialState.FAIL)
    for trial in study.get_trials(states=[TrialState.FAIL]):
        others = [other for other in study.trials if other.number > trial.number and seed_of(other) == seed_of(trial)]
        settings = settings_of(trial, space)
        if settings not in [settings_of(other, space) for other in others]:
            enqueue(study, settings, seed_of(trial))


def ranking(study, space):
    """The trials of each setting, one of each seed, from the lowest mean distance up."""
    settings = {}
    for trial in study.get_trials(states=[TrialState.COMPLETE]):
        settings.setdefault(tuple(settings_of(trial, space).items()), {})[seed_of(trial)] = trial
    return sorted((list(seeds.values()) for seeds in settings.values()), key=lambda trials: np.mean([t.value for t in trials]))


def enqueue_finalists(study, space, number):
    """The best settings again, with the seeds that they have not been trained with, and are not to be."""
    known = study.get_trials(states=[TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING])
    for trials in ranking(study, space)[:number]:
        settings = settings_of(trials[0], space)
        for seed in set(SEEDS) - {seed_of(trial) for trial in known if settings_of(trial, space) == settings}:
            enqueue(study, settings, seed)


def table(study, space, most=20):
    """The best settings in Markdown: what differs from the recipe when the search began, and means over their seeds."""
    ranked = ranking(study, space)[:most]
    # An early study lacks some figures.
    columns = [name for name in COLUMNS if all(name in trial.user_attrs["figures"] for trials in ranked for trial in trials)]
    titles = [evaluation.METRICS[name].title for name in columns]
    lines = [f"| change | seeds | seconds | steps | {' | '.join(titles)} |", "|---" * (4 + len(titles)) + "|"]
    for trials in ranked:
        changed = {name: value for name, value in settings_of(trials[0], space).items() if value != space.today[name]}
        change = ", ".join(words(name, value) for name, value in changed.items()) or "none"
        seconds, steps = (np.mean([trial.user_attrs[name] for trial in trials]) for name in ("seconds", "steps"))
        means = [np.mean([trial.user_attrs["figures"][name] for trial in trials]) for name in columns]
        numbers = [str(len(trials)), f"{seconds:.0f}", f"{steps:,.0f}", *(f"{mean:.3f}" for mean in means)]
        lines.append(f"| {change} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def words(name, value):
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}"


def put(table, name, page):
    """Write the table of a study between its two marks in a page, where it has them."""
    text, begin, end = page.read_text(), f"<!-- search {name} -->\n", "<!-- end -->\n"
    if begin in text:
        before, _, rest = text.partition(begin)
        if end not in rest:
            raise ValueError(f"{page} lacks {end.strip()!r} after {begin.strip()!r}: where the table ends. Add it.")
        page.write_text(before + begin + table + "\n" + end + rest.partition(end)[2])


def parse(argv):
    parser = common.Parser(description=__doc__)
    parser.add_argument("space", choices=SPACES, help="what is searched, of scripts/lab/spaces.py")
    for name, kind, default, metavar, told in (
        ("seconds", common.between(0.1, 100_000, float), 400.0, "S", "of processor time, for each candidate"),
        ("trials", common.between(0, 10_000), 10, "N", "candidates to train now"),
        ("finalists", common.between(0, 100), 0, "K", "queue the best K again, until each is trained with three seeds"),
        ("threads", common.between(0, 1000), 1, "N", "of TensorFlow; 0 leaves it the choice"),
    ):
        told = f"{told}; default: %(default)s"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=told)
    return parser.parse_args(argv)


@common.command
def main(argv=None):
    args = parse(argv)
    use_threads(args.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, file = SPACES[args.space], DOCS / "search" / f"{args.space}_{args.seconds:g}s.jsonl"
    file.parent.mkdir(exist_ok=True)
    study = begun(space, file)
    enqueue_interrupted(study, space, 3600 + 5 * args.seconds)
    enqueue_finalists(study, space, args.finalists)
    print(f"{args.trials} candidates, {args.seconds:g} seconds of one core each; results go to {file}", flush=True)

    def told(study, trial):
        print(f"candidate {trial.number}: Frechet distance {trial.value}, {trial.params}", flush=True)

    study.optimize(Candidate(space, args.seconds), args.trials, callbacks=[told])
    put(table(study, space), file.stem, DOCS / "default_recipe.md")
    print(table(study, space))
    return 0


if __name__ == "__main__":
    sys.exit(main())
