"""The command gan-keras: it starts the script of a subcommand, such as train_mnist.py for `gan-keras train`."""

import importlib
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
    lines = [f"  {name:9} {told}" for name, (_, told) in COMMANDS.items()]
    return "\n".join(["usage: gan-keras COMMAND [options]", "", *lines, "", "Options of a command: gan-keras COMMAND --help"])


def main():
    name, *options = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"error: {name!r} is no command. Choose from: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    script = importlib.import_module(f"gan_keras_scripts.{COMMANDS[name][0]}")  # only now: TensorFlow takes seconds
    sys.argv = [f"gan-keras {name}", *options]
    return script.main()


if __name__ == "__main__":
    sys.exit(main())
