#!/bin/bash
# Chromium, Playwright for Python and axe for `make test-browser`; does nothing for what is there. Hundreds of megabytes.
# CHROMIUM=path names another browser; without one, Debian's package is installed, which needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v "${CHROMIUM:-chromium}" >/dev/null; then
  echo "test-browser: installing Chromium"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
.venv/bin/uv pip install --quiet --python .venv/bin/python --group browser
if [ ! -e tests/browser/node_modules/axe-core ]; then
  PATH="$PWD/.venv/bin:$PATH" .venv/bin/npm ci --prefix tests/browser --no-audit --no-fund --ignore-scripts --silent
fi
