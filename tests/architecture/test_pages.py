"""Pages run in a folder of their own, and nothing but that folder is ever removed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from house.source import ROOT

WRITES = """
```python
import pickle
from pathlib import Path
class A: ...
_ = Path("x.txt").write_text("here")
```

```python
>>> [path.name for path in Path().iterdir()]
['x.txt']
>>> type(pickle.loads(pickle.dumps(A()))) is A
True
```
"""
LEAVES = "```python\nimport os\nos.chdir({root!r})\n```\n\n```python\n{then}\n```\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "kept.txt").write_text("kept")
    (root / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    shutil.copy(ROOT / "conftest.py", root)
    return root


def run(root: Path, *args: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout


def test_the_blocks_of_a_page_share_a_folder_and_names_and_leave_nothing(root: Path) -> None:
    (root / "docs/a.md").write_text(WRITES)
    (root / "docs/b.md").write_text(WRITES)

    assert "6 passed" in run(root, "docs")
    assert not (root / "x.txt").exists()


@pytest.mark.parametrize("then", ["x = 1", "raise KeyboardInterrupt", "raise SystemExit", "1 / 0"])
def test_a_page_that_goes_elsewhere_or_ends_the_session_costs_no_file(root: Path, then: str) -> None:
    (root / "docs/bad.md").write_text(LEAVES.format(root=str(root), then=then))
    (root / "docs/good.md").write_text(WRITES)

    run(root, "docs")

    assert (root / "kept.txt").read_text() == "kept"
    assert sorted(path.name for path in (root / "docs").iterdir()) == ["bad.md", "good.md"]
