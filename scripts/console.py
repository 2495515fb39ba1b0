"""The command gan-keras: it starts the script of a subcommand, such as train_mnist.py for `gan-keras train`."""

import importlib
import importlib.metadata
import pathlib
import sys

COMMANDS = {
    "train": ("train_mnist", "train a GAN on MNIST or on images of your own"),
    "sample": ("sample", "draw samples from a run, as arrays or as a picture"),
    "evaluate": ("evaluate", "measure the quality of a run's samples"),
    "explore": ("explore", "draw how images depend on latents"),
    "export": ("export", "write a run in a format that servers load"),
    "serve": ("serve", "serve an exported model over HTTP, with a demo page"),
}


def usage():
    told = {**{name: told for name, (_, told) in COMMANDS.items()}, "docs": "print a page of the documentation, docs/PAGE.md"}
    lines = [f"  {name:9} {what}" for name, what in told.items()]
    return "\n".join(
        [
            "usage: gan-keras COMMAND [options]",
            "       gan-keras docs PAGE",
            "       gan-keras --version",
            "",
            *lines,
            "",
            "Options of a command: gan-keras COMMAND --help",
        ]
    )


def print_page(names):
    """Print a page of docs/, which the package brings along, or the names of all pages. Returns the exit code."""
    places = map(pathlib.Path, importlib.import_module("gan_keras_docs").__path__)  # an editable install adds one that is none
    folder = next(place for place in places if place.is_dir())
    pages = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.md")}
    known = ", ".join(sorted(pages))
    if names in ([], ["-h"], ["--help"]):
        print(f"usage: gan-keras docs PAGE\n\nPAGE is one of: {known}")
        return 0
    page = " ".join(names).removeprefix("docs/").removesuffix(".md")
    if page not in pages:
        print(f"error: There is no page {page!r}. Choose from: {known}.", file=sys.stderr)
        return 2
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(pages[page].read_text(encoding="utf-8"), end="")
    return 0


def main():
    name, *options = sys.argv[1:] or ["--help"]
    if name == "--version":
        print(f"gan_keras {importlib.metadata.version('gan_keras')}")
        return 0
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "docs":
        return print_page(options)
    if name not in COMMANDS:
        print(f"error: {name!r} is no command. Choose from: {', '.join(COMMANDS)}, docs.", file=sys.stderr)
        return 2
    script = importlib.import_module(f"gan_keras_scripts.{COMMANDS[name][0]}")  # only now: TensorFlow takes seconds
    sys.argv = [f"gan-keras {name}", *options]
    return script.main()


if __name__ == "__main__":
    sys.exit(main())
