#!/usr/bin/env bash
# From a fresh machine to a results table.
#   ./run_all.sh                                 makes .venv, installs, reruns every paper at quick scale, writes the report
#   ./run_all.sh --scale lite hard_negatives     the same with other arguments for `contrastbench reproduce`
#   ./run_all.sh test [pytest arguments]         makes .venv, installs, runs the checks and the tests
#   ./run_all.sh --latest ...                    installs the newest packages instead of those in constraints.txt
# Run again: only what is missing is done. Ctrl-C stops at once and loses nothing.
set -euo pipefail
cd "$(dirname "$0")"
child=

explain() { printf 'run_all.sh: %s\n' "$1" >&2; exit 1; }
stop() {
  [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true; }
  printf '\nrun_all.sh: stopped; nothing is lost, run it again to go on\n' >&2
  exit 130
}
trap stop INT TERM

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python; do
    if [ -n "$name" ] && "$name" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
}

# Runs a command with its output in .venv/install.log and the seconds it takes on one line of the terminal.
quietly() {
  local began=$SECONDS code=0
  "$@" >> .venv/install.log 2>&1 &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    [ ! -t 1 ] || printf '\rInstalling into .venv, once: %d s' $((SECONDS - began))
    sleep 1 & wait $! || true
  done
  wait "$child" || code=$?
  child=
  return "$code"
}

# Without a GPU, takes the wheels of torch that have no CUDA, which is most of the download, if pip's index has them or
# TORCH_INDEX names one that has.
take_cpu_torch() {
  local wanted
  wanted=$(sed -nE 's/^(torch|torchvision)==([^ ;+]+).*/\1==\2+cpu/p' constraints.txt)
  if [ -z "$wanted" ] || [ "$(uname -s)" != Linux ] || nvidia-smi -L > /dev/null 2>&1; then return; fi
  # shellcheck disable=SC2086  # one argument a package
  quietly .venv/bin/python -m pip install --no-compile --no-deps --disable-pip-version-check --root-user-action ignore \
    --retries 1 --timeout 15 ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} $wanted ||
    printf 'The index has no torch without CUDA, so the larger wheels are taken (TORCH_INDEX names another index)\n'
}

install() {
  local extra=$1 versions=(--constraint constraints.txt) wanted free_gb python
  [ -z "$latest" ] || versions=(--upgrade --upgrade-strategy eager)
  wanted=$(cat pyproject.toml constraints.txt | cksum)$latest
  case "$(cat .venv/installed 2>/dev/null)" in "$wanted$extra" | "$wanted[test]") return ;; esac
  python=$(find_python)
  [ -n "$python" ] || explain "no Python 3.11 to 3.14 with venv on the path; install one or say PYTHON=/path/to/python"
  free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$free_gb" -ge "${NEEDED_GB:-8}" ] || explain "$free_gb GB free here, the installation needs ${NEEDED_GB:-8}"
  [ -t 1 ] || printf 'Installing into .venv, once, a few minutes (.venv/install.log tells more)\n'
  [ -x .venv/bin/python ] || "$python" -m venv .venv || explain "could not make .venv (is the disk full?)"
  [ -n "$latest" ] || take_cpu_torch
  # Python compiles what it imports; compiling all that is installed would take a minute more.
  quietly .venv/bin/python -m pip install --no-compile --disable-pip-version-check --root-user-action ignore \
    "${versions[@]}" --editable ".$extra" || {
    tail -n 5 .venv/install.log >&2
    explain "pip could not install (see .venv/install.log; a full disk and a missing network are the usual reasons)"
  }
  # Real users and films for the recommenders at quick scale; whoever goes without has the rest.
  quietly .venv/bin/contrastbench data fetch ml-100k ||
    printf 'MovieLens-100k could not be fetched (.venv/install.log tells why); its tables are left out\n'
  [ ! -t 1 ] || printf '\r%40s\r' ''
  printf '%s' "$wanted$extra" > .venv/installed
}

latest=
if [ "${1:-}" = --latest ]; then
  latest=yes
  shift
fi
if [ "${1:-}" = test ]; then
  shift
  install "[test]"
  printf 'Checking style and types, then running the tests ...\n'
  .venv/bin/ruff check .
  .venv/bin/ruff format --check .
  .venv/bin/mypy
  cores=$(getconf _NPROCESSORS_ONLN)
  # One process more than there are cores: tests of Slurm and of commands mostly wait.
  exec .venv/bin/python -m pytest --numprocesses "$((cores < 4 ? cores + 1 : 4))" --dist worksteal "$@"
fi

install ""
exec .venv/bin/contrastbench reproduce "$@" # itself from here on: signals reach it and its workers directly
