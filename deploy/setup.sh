#!/bin/bash
# Makes .venv from requirements.lock and installs the project into it, editable. `make setup` runs it.
# A second run with an unchanged lock does nothing. PYTHON=... names another interpreter (3.11 or newer).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/.installed

command -v "$python" >/dev/null || { echo "setup: $python is not on this machine; Tollway needs Python 3.11 or newer (PYTHON=path)" >&2; exit 1; }
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "setup: $("$python" --version) is too old; Tollway needs Python 3.11 or newer (PYTHON=path names another one)" >&2
  exit 1
fi

wanted=$("$python" - <<'PY'
import hashlib, json, pathlib, sys, tomllib
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
parts = [sys.version_info[:2], str(pathlib.Path.cwd()), project["project"], project["build-system"], project["tool"]["hatch"]]
state = hashlib.sha256(json.dumps(parts).encode())
state.update(pathlib.Path("requirements.lock").read_bytes())
print(state.hexdigest())
PY
)
[ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || exit 0

# A virtual environment of another Python, or one whose interpreter is gone, is made anew.
if [ -e .venv ] && ! .venv/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')')" 2>/dev/null; then
  rm -rf .venv
fi
echo "setup: installing into .venv (a minute or two the first time)"
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
  echo "setup: this Python cannot make a virtual environment; on Debian and Ubuntu install python3-venv" >&2
  exit 1
}
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
pip() { .venv/bin/python -m pip --disable-pip-version-check "$1" --quiet --no-input --root-user-action=ignore "${@:2}"; }
pip install --require-hashes --only-binary :all: -r requirements.lock
pip install --no-deps --no-build-isolation --editable .
echo "$wanted" >$stamp
