#!/usr/bin/env bash
# Runs notebooks/lab.ipynb as Jupyter does, on the synthesized clips or on LAB_DATA.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if (($# > 0)); then
    cat <<TEXT
Usage: [LAB_DATA=DIR] scripts/test-notebook.sh

Executes every cell of notebooks/lab.ipynb in a Python environment of its own (.venv-notebook), and
leaves what it showed in runs/lab.ipynb. Fails where a cell fails. Takes as long as
scripts/lab.sh --quick.
TEXT
    [[ $1 == -h || $1 == --help ]] && exit 0 || exit 2
fi
[[ -d .venv-notebook ]] || python3 -m venv .venv-notebook
.venv-notebook/bin/pip --disable-pip-version-check --quiet install nbclient==0.10.2 ipykernel==6.29.5 nbformat==5.10.4
.venv-notebook/bin/python - <<'PYTHON'
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("notebooks/lab.ipynb", as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=None, resources={"metadata": {"path": "notebooks"}}).execute()
nbformat.write(notebook, "runs/lab.ipynb")
shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
charts = sum("image/svg+xml" in output.get("data", {}) for output in shown)
tables = sum("text/markdown" in output.get("data", {}) for output in shown)
assert charts >= 3 and tables >= 3, f"{charts} charts, {tables} texts"
print(f"every cell ran; {charts} charts and {tables} texts were shown")
PYTHON
