#!/usr/bin/env bash
# From a fresh machine to a results table.
#   ./run_all.sh                                 makes .venv, installs, reruns every paper at quick scale, writes the report
#   ./run_all.sh --scale lite hard_negatives     the same with other arguments for `contrastbench run`
#   ./run_all.sh test [pytest arguments]         makes .venv, installs, runs the checks and the tests
# Run again: only what is missing is done. Ctrl-C loses nothing.
set -euo pipefail
cd "$(dirname "$0")"

explain() { printf 'run_all.sh: %s\n' "$1" >&2; exit 1; }
trap 'printf "\nrun_all.sh: stopped; nothing is lost, run it again to go on\n" >&2; exit 130' INT TERM

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    if [ -n "$name" ] && "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
}

install() {
  local extra=$1 wanted free_gb python
  wanted=$(cksum < pyproject.toml)
  case "$(cat .venv/installed 2>/dev/null)" in "$wanted$extra" | "$wanted[test]") return ;; esac
  python=$(find_python)
  [ -n "$python" ] || explain "no Python 3.11 or newer with venv on the path; install one or say PYTHON=/path/to/python"
  free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$free_gb" -ge "${NEEDED_GB:-8}" ] || explain "$free_gb GB free here, the installation needs ${NEEDED_GB:-8}"
  printf 'Installing into .venv (once, a few minutes) ...\n'
  [ -x .venv/bin/python ] || "$python" -m venv .venv || explain "could not make .venv (is the disk full?)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extra" ||
    explain "pip could not install (see above; a full disk and a missing network are the usual reasons)"
  printf '%s' "$wanted$extra" > .venv/installed
}

if [ "${1:-}" = test ]; then
  shift
  install "[test]"
  printf 'Checking style and types, then running the tests ...\n'
  .venv/bin/ruff check .
  .venv/bin/ruff format --check .
  .venv/bin/mypy
  exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
fi

install ""
.venv/bin/contrastbench run "$@" && ran=0 || ran=$?
[ "$ran" -le 1 ] || exit "$ran" # bad arguments or Ctrl-C: nothing to report
.venv/bin/contrastbench table
.venv/bin/contrastbench report
exit "$ran"
