"""Budgets of length, docstrings and comments apart. Every rule is seen to fail on a small broken sample."""

from house.exceptions import LONG_FILES, LONG_FUNCTIONS
from house.sizes import BODY, FILE, code_lines, long_files, long_functions
from house.source import Project, Source, functions, listing

TEXT = '''"""Two lines
of docstring."""

# a comment
X = """
no docstring"""


def f(
    a,
):
    """A docstring."""
    # why
    return (
        a
    )
'''


def test_only_code_counts() -> None:
    assert code_lines(Source("src/x.py", TEXT)) == {5, 6, 9, 10, 11, 14, 15, 16}


def test_no_file_is_too_long(project: Project) -> None:
    found = list(long_files(project, {place: limit for place, (limit, _) in LONG_FILES.items()}))

    assert not found, listing(found)


def test_a_long_file_is_found_and_the_training_loop_has_less_room() -> None:
    files = {f"lit_core/{name}.py": "x = 1\n" * n for name, n in [("a", FILE), ("b", FILE + 1), ("loops/train", 201)]}

    found = list(long_files(Project.of(files), {}))

    assert [v.place for v in found] == ["lit_core/b.py", "lit_core/loops/train.py"]
    assert not list(long_files(Project.of(files), {"lit_core/b.py": 401, "lit_core/loops/train.py": 201}))


def test_no_function_is_too_long(project: Project) -> None:
    found = list(long_functions(project, {place: limit for place, (limit, _) in LONG_FUNCTIONS.items()}))

    assert not found, listing(found)


def test_a_long_body_is_found() -> None:
    body = "".join(f"        x{i} = 1\n        # why\n" for i in range(BODY))
    fits = f"    def f(\n        self,\n    ):\n        '''Doc.'''\n{body}"
    text = f"class A:\n{fits}    def g(self):\n{body}        return 1\n"

    found = list(long_functions(Project.of({"lit_core/x.py": text}), {}))

    assert [v.place for v in found] == ["lit_core/x.py:A.g"]


def test_every_granted_length_is_still_used(project: Project) -> None:
    lengths = {source.local_path: len(code_lines(source)) for source in project.sources}
    named = {f"{s.local_path}:{name}" for s in project.sources for name, _ in functions(s.tree)}

    assert [place for place in LONG_FILES if lengths.get(place, 0) <= FILE] == []
    assert [place for place in LONG_FUNCTIONS if place not in named] == []
    generous = {place: limit - 1 for place, (limit, _) in (LONG_FILES | LONG_FUNCTIONS).items()}
    tight = [*long_files(project, generous), *long_functions(project, generous)]
    loose = set(generous) - {violation.place for violation in tight}
    assert loose == set(), "a granted length is more than what is used"
