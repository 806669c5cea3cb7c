"""What `import lit_x` brings in, seen in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

from house.imports import ARROWS

OPTIONAL = {
    "comet_ml",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "PIL",
    "ray",
    "rich",
    "scipy",
    "sklearn",
    "tensorboard",
    "torchao",
    "torchvision",
    "wandb",
}
"""Extras, tests' own packages, and what is slow enough to be loaded by the one class that needs it."""

SLOW_TORCH = {
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch.onnx",
    "torch.utils.tensorboard",
}

SCRIPT = """
import json, sys
if "torch" in sys.argv:
    import torch
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(package: str) -> set[str]:
    """The modules that importing ``package`` loads and importing torch does not."""
    command = [sys.executable, "-c", SCRIPT, package, "torch"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def unwanted(package: str, modules: set[str]) -> list[str]:
    """Of ``modules``, those that importing ``package`` must not load."""
    siblings = set(ARROWS) - {package} - ARROWS.get(package, set())
    banned = siblings | OPTIONAL | SLOW_TORCH
    return sorted(m for m in modules if banned & {m, m.partition(".")[0]})


@pytest.mark.parametrize("package", sorted(ARROWS))
def test_importing_a_package_loads_no_sibling_no_option_and_no_slow_torch(package: str) -> None:
    modules = loaded(package)

    assert package in modules
    assert unwanted(package, modules) == [], "import it inside the function that needs it"


def test_what_must_not_be_loaded_is_seen_when_it_is() -> None:
    modules = loaded("torch.onnx") | {"lit_core", "tensorboard.summary"}

    assert set(unwanted("lit_metrics", modules)) >= {"torch.onnx", "lit_core", "tensorboard.summary"}
    assert unwanted("lit_core", {"lit_core", "lit_loggers", "torch.nn"}) == []
