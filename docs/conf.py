"""The site: Sphinx, furo, MyST. ``hatch run docs:build`` makes it in ``site/``; a warning is an error."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("lit_core", "lit_metrics", "lit_loggers", "lit_accelerators", "lit_checkpoint")
HERE = Path(__file__).parent
OTHERS = "|".join([*sys.stdlib_module_names, "torch", "numpy", "fsspec", "tensorboard", "tqdm"])

project = "lit"
author = "the lit developers"
copyright = "the lit developers"  # noqa: A001  # Sphinx's name for it
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["examples/**"]
suppress_warnings = ["misc.highlighting_failure"]

python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "lit"
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The packages are imported for real, torch too: with a mocked torch, classes lose their bases and inherited members,
# and the reference would show something else than help() does.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

nitpicky = True
nitpick_ignore_regex = [
    # Other projects' names: the site is built without a network, so without their inventories.
    ("py:.*", rf"({OTHERS})(\..*)?"),
]


def namespaces() -> Iterator[ModuleType]:
    """Each package and those of its sub-packages that users import from: a public name and an ``__all__``."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.ispkg and not any(part.startswith("_") for part in found.name.split(".")):
                module = importlib.import_module(found.name)
                if hasattr(module, "__all__"):
                    yield module


def public_names() -> dict[str, dict[str, str]]:
    """Where each object is documented: per namespace, the name it has there and the name it was defined under."""
    told: set[int] = set()
    pages: dict[str, dict[str, str]] = {}
    for module in namespaces():
        names = pages[module.__name__] = {}
        for name in module.__all__:
            thing = getattr(module, name)
            if name.startswith("__") or isinstance(thing, ModuleType) or id(thing) in told:
                continue
            told.add(id(thing))
            names[name] = f"{getattr(thing, '__module__', module.__name__)}.{getattr(thing, '__qualname__', name)}"
    return {module: names for module, names in pages.items() if names}


def write_reference(pages: dict[str, dict[str, str]]) -> None:
    """One page per package under ``reference/<package>/``, made anew from its ``__all__``."""
    for package in PACKAGES:
        distribution = package.replace("_", "-")
        lines = [f"# {distribution}", "", f"Version {importlib.import_module(package).__version__}.", ""]
        for module in (m for m in pages if m.partition(".")[0] == package):
            lines += [f"## {module}", ""] if module != package else []
            lines += ["```{eval-rst}", f".. currentmodule:: {module}", ""]
            for name in pages[module]:
                thing = getattr(importlib.import_module(module), name)
                kind = "class" if inspect.isclass(thing) else "function" if inspect.isroutine(thing) else "data"
                lines += [f".. auto{kind}:: {name}", *(["   :members:", ""] if kind == "class" else [""])]
            lines += ["```", ""]
        page = HERE / "reference" / package / "index.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(lines)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def is_in_signature(node: Any) -> bool:
    """Whether a reference stands in a signature rather than in text that somebody wrote."""
    from sphinx.addnodes import desc_signature

    while node is not None and not isinstance(node, desc_signature):
        node = node.parent
    return node is not None


def setup(app: Any) -> None:
    """Write the reference, and let a reference to where a class is defined find where users import it from."""
    from sphinx.util.nodes import make_refnode

    public: dict[str, str] = {}

    def on_start(app: Any) -> None:
        pages = public_names()
        write_reference(pages)
        for module, names in pages.items():
            public.update({defined: f"{module}.{name}" for name, defined in names.items()})

    def on_missing(app: Any, env: Any, node: Any, content: Any) -> Any:
        target = node.get("reftarget", "")
        owner, _, member = target.rpartition(".")
        name = public.get(target) or (f"{public[owner]}.{member}" if owner in public else None)
        objects = env.get_domain("py").objects
        if node.get("refdomain") == "py" and name in objects:
            entry = objects[name]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)
        # An annotation may name what has no page: an alias, a type variable, a class of torch. A docstring may not.
        return content if is_in_signature(node) else None

    def on_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        # napoleon takes "word: text" in a field's docstring for its type; an escaped line end hides the colon from it
        if what in {"attribute", "data", "property"} and ":" in "".join(lines[:1]):
            lines.insert(0, "\\")

    app.connect("autodoc-process-docstring", on_docstring, priority=400)
    app.connect("builder-inited", on_start)
    app.connect("missing-reference", on_missing)
