#!/usr/bin/env bash
# Runs the tests in an environment of their own; exits with pytest's status.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
bash launch/test.sh [OPTION]... [PYTEST ARGUMENT]...

Runs pytest from the project folder. The first start makes the environment
.venv-test, or .venv-test-X.Y for a chosen Python (1.2 GB, about a minute).

  --fast        leave out the tests marked slow
  --python=X.Y  use this Python, for instance 3.12
  --extra=NAME  also install app or browser (the page and its tests), or
                another extra; needed once, then kept
  --install     only make the environment
  --dry-run     print the commands and do nothing
  --help        this text; pytest's own: -- --help
TEXT
}

version=""
extras=()
install_only=0
DRY_RUN=0
arguments=()
while (($# > 0)); do
  case "$1" in
    --fast) arguments+=(-m "not slow") ;;
    --python=*) version="${1#*=}" ;;
    --extra=*) extras+=("${1#*=}") ;;
    --install) install_only=1 ;;
    --dry-run) DRY_RUN=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    --)
      shift
      arguments+=("$@")
      break
      ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
if [[ -n "$version" && ! "$version" =~ ^3\.[0-9]+$ ]]; then
  die "--python=$version; wanted a version such as 3.12"
fi

venv="$ROOT/.venv-test${version:+-$version}"
ensure_venv "$venv" "$version" test ${extras[@]+"${extras[@]}"}
# A file's tests stay together: they share compiled programs.
parallel=(-n auto --maxprocesses=8 --dist=loadfile)
command=("$venv/bin/python" -m pytest "${parallel[@]}" ${arguments[@]+"${arguments[@]}"})
if ((DRY_RUN)); then
  if ((!install_only)); then show "${command[@]}"; fi
elif ((!install_only)); then
  cd "$ROOT"
  exec "${command[@]}"
fi
