"""The rows of bfloat16 against float32: what `--mixed-precision auto` rests on, with the benchmark."""

from gan_keras import networks, recipes, settings
from rows.base import Row, digits_evaluator, quality, trained

# About five minutes on one core, in float32.
STEPS = {"tutorial_conv": 5000, "dcgan": 800, "wgan_gp": 200}


def compared(name):
    def run(seed):
        cases, instructions = {}, settings.multiplies_bfloat16()
        for policy in ("float32", "mixed_bfloat16"):
            # Without instructions for bfloat16, TensorFlow's gradients of convolutions are sums in 16 bits. Sums of XLA have 32
            # bits, as those of the instructions do.
            jit = "auto" if instructions or policy == "float32" else True
            with networks.precision(policy):
                gan, seconds = trained(recipes.get(name), seed, steps=STEPS[name], jit_compile=jit)
            figures = quality(gan, digits_evaluator(), seed)
            cases[f"{name}, {policy.removeprefix('mixed_')}"] = {**figures, **({"seconds": seconds} if instructions else {})}
        return cases

    return run


ROWS = [
    Row(
        name=f"bfloat16.{name}",
        title="bfloat16 against float32",
        source="none: Micikevicius et al. 2018, Mixed Precision Training, did so for DCGAN on faces, in float16 and by eye",
        protocol=(
            "two trainings of the same seed, one in each precision, of "
            f"{', '.join(f'{steps:,} steps ({name})' for name, steps in STEPS.items())}; 10,000 samples against the 10,000 test digits"
        ),
        published="none on MNIST",
        differs=(
            "the trainings are short; a difference that appears later is not seen. Seed 2 of dcgan and seeds 1 and 2 of "
            "tutorial_conv were trained on a processor without instructions for bfloat16, in bfloat16 by XLA, whose sums have 32 "
            "bits as those of the instructions. They have no seconds, since such a comparison says nothing of the speed in bfloat16"
        ),
        run=compared(name),
        figures={"frechet_distance": "{:.2f}", "coverage": "{:.3f}", "precision": "{:.3f}", "recall": "{:.3f}"},
        uses=(name,),
        constants={"steps": steps},
    )
    for name, steps in STEPS.items()
]
