"""From a training run to an exported model: python examples/run_to_server.py [STEPS]"""

import sys

from gan_keras import evaluation, serving
from gan_keras.runs import Run

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 8000

run = Run.new("runs/digits", recipe="cgan", steps=STEPS)  # recipes: gan_keras/recipes/, or your own file
gan = run.train()

(images, labels), (test, _) = run.training_data, run.data("test")
evaluator = evaluation.Evaluator(images, test, train_labels=labels)
for name, (value, _) in evaluator.of_gan(gan, 5000, groups=["frechet", "manifold"]).items():
    print(f"{name:20} {value:.3f}")

version = serving.export(gan, "exports/digits")
print(f"Exported {version}. Serve it with TensorFlow Serving, or with: gan-keras serve exports/digits")
