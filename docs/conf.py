"""The site: Sphinx, furo, MyST. ``hatch run docs:build`` makes it in ``site/``; a warning is an error."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("lit_core", "lit_metrics", "lit_loggers", "lit_accelerators", "lit_checkpoint")
BY_FAMILY = ("lit_metrics",)  # one page per family of names
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
    """Each package and those of its parts that users import from: a public name and an ``__all__``.

    Families come before what passes their names on, so that a name is documented with its family.
    """
    for name in PACKAGES:
        package = importlib.import_module(name)
        families = []
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.ispkg and not any(part.startswith("_") for part in found.name.split(".")):
                module = importlib.import_module(found.name)
                if hasattr(module, "__all__"):
                    families.append(module)
        passed_on = (getattr(package, part) for part in package.__all__)
        single = [m for m in passed_on if isinstance(m, ModuleType) and hasattr(m, "__all__") and m not in families]
        if name in BY_FAMILY:
            yield from sorted(families, key=lambda module: -module.__name__.count("."))
            yield from [package, *single]
        else:
            yield from [package, *families, *single]


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
    """Pages under ``reference/<package>/``, made anew from every ``__all__``: one per package, or one per family."""
    for package in PACKAGES:
        modules = [module for module in pages if module.partition(".")[0] == package]
        families: dict[str, list[str]] = {}
        if package in BY_FAMILY:
            for module in (m for m in modules if hasattr(sys.modules[m], "__path__") and m != package):
                families.setdefault(module.rpartition(".")[2], []).append(module)
        rest = [module for module in modules if not any(module in family for family in families.values())]
        lines = [f"# {package.replace('_', '-')}", "", f"Version {importlib.import_module(package).__version__}.", ""]
        if families:
            lines += ["```{toctree}", ":maxdepth: 1", "", *sorted(families), "```", ""]
        for module in sorted(rest):
            lines += [f"## {module}", ""] if module != package else []
            lines += entries(module, pages[module])
        write(f"{package}/index.md", lines)
        for family, parts in families.items():
            lines = [f"# {family}", ""]
            for module in sorted(parts):
                lines += [f"## {module}", "", *entries(module, pages[module])]
            write(f"{package}/{family}.md", lines)


def entries(module: str, names: Iterable[str]) -> list[str]:
    """The lines that make autodoc show the names of a module."""
    lines = ["```{eval-rst}", f".. currentmodule:: {module}", ""]
    for name in names:
        thing = getattr(importlib.import_module(module), name)
        kind = "class" if inspect.isclass(thing) else "function" if inspect.isroutine(thing) else "data"
        options = {"class": ["   :members:"], "function": [], "data": ["   :no-value:"]}
        lines += [f".. auto{kind}:: {name}", *options[kind], ""]
    return [*lines, "```", ""]


def write(name: str, lines: list[str]) -> None:
    """Writes a page of the reference; one that says the same already is left alone, so that Sphinx skips it."""
    page = HERE / "reference" / name
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
