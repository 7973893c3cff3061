# shellcheck shell=bash
# Sourced by the launch scripts: finds a Python, keeps an environment current.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'enhance_jax: %s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# Prints a command so that it can be pasted back into a shell.
show() {
  local line
  printf -v line '%q ' "$@"
  printf '%s\n' "${line% }"
}

# probe_python COMMAND: prints X.Y of a usable Python, else why it is not one.
probe_python() {
  local answer status=0
  answer="$("$1" -I -c '
import sys
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
  sys.exit("is Python " + version + ", and 3.11 or newer is needed")
try:
  import ensurepip, venv
except ImportError:
  sys.exit(
    "has no venv module (Debian, Ubuntu: sudo apt-get install python"
    + version + "-venv)"
  )
print(version)
' 2>&1 </dev/null)" || status=$?
  printf '%s\n' "${answer%%$'\n'*}"
  return "$status"
}

# python_candidates [X.Y]: commands to try, the preferred one first. pyenv's
# shims are on PATH for versions that are not switched on, hence its folder.
python_candidates() {
  local versions=(3.13 3.12 3.11) version path
  if [[ -n "${1:-}" ]]; then versions=("$1"); fi
  for version in "${versions[@]}"; do printf 'python%s\n' "$version"; done
  if [[ -z "${1:-}" ]]; then printf 'python3\n'; fi
  for version in "${versions[@]}"; do
    for path in "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$version."*/bin/python
    do
      if [[ -x "$path" ]]; then printf '%s\n' "$path"; fi
    done
  done
}

# find_python [X.Y]: sets FOUND and FOUND_VERSION, or ends with the reasons.
# Without a version $PYTHON, where set, is the only one considered.
find_python() {
  local candidates candidate answer reasons=""
  candidates="$(python_candidates "${1:-}")"
  if [[ -z "${1:-}" && -n "${PYTHON:-}" ]]; then candidates="$PYTHON"; fi
  while IFS= read -r candidate; do
    if ! command -v "$candidate" >/dev/null; then
      answer="is not installed"
    elif answer="$(probe_python "$candidate")"; then
      FOUND="$candidate"
      FOUND_VERSION="$answer"
      if [[ -z "${1:-}" || "$answer" == "$1" ]]; then return; fi
      answer="is Python $answer"
    fi
    reasons+=$'\n'"  $candidate ${answer:-does not run}"
  done <<<"$candidates"
  die "found no Python ${1:-3.11 or newer} that can make an environment; name" \
    "one with PYTHON=/path/to/python. Tried:$reasons"
}

# wanted PYTHON EXTRA...: prints a key that changes whenever the environment
# has to be made anew, then the extras' requirements, one a line.
wanted() {
  local python="$1"
  shift
  "$python" -I - "$ROOT" "$@" <<'PYTHON'
import hashlib
import pathlib
import sys
import tomllib

root, *extras = sys.argv[1:]
needed = pathlib.Path(root, "requirements.txt").read_text()
project = tomllib.loads(pathlib.Path(root, "pyproject.toml").read_text())
known = project["project"]["optional-dependencies"]
for extra in extras:
  if extra not in known:
    known = ", ".join(known)
    sys.exit(f"enhance_jax: error: no extra {extra!r}; known: {known}")
lines = [line for extra in extras for line in known[extra]]
version = "%d.%d" % sys.version_info[:2]
key = "\n".join([version, needed, *lines])
print(hashlib.sha256(key.encode()).hexdigest())
print(*lines, sep="\n")
PYTHON
}

# installed_extras VENV: the extras it was made with, separated by spaces.
installed_extras() {
  if [[ -f "$1/enhance.state" ]]; then sed -n 2p "$1/enhance.state"; fi
}

# venv_ready VENV X.Y|"" EXTRA...: whether it is complete and up to date.
venv_ready() {
  local venv="$1" version="$2" key
  shift 2
  [[ -f "$venv/enhance.state" && -x "$venv/bin/python" ]] || return 1
  if [[ -n "$version" && "$(probe_python "$venv/bin/python")" != "$version" ]]
  then
    return 1
  fi
  key="$(wanted "$venv/bin/python" "$@" 2>/dev/null)" || return 1
  [[ "$(sed -n 1p "$venv/enhance.state")" == "${key%%$'\n'*}" ]]
}

# logged LOG COMMAND...: runs it with its output in LOG; a signal ends it too.
logged() {
  local log="$1" child status=0
  shift
  "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  trap 'kill -TERM "$child"; wait "$child" || exit 130' INT
  trap 'kill -TERM "$child"; wait "$child" || exit 143' TERM HUP
  wait "$child" || status=$?
  trap - INT TERM HUP
  return "$status"
}

# install VENV KEY EXTRAS REQUIREMENT...: makes the environment anew with FOUND.
# Until the end its state reads "partial", so a torn install is never used.
install() {
  local venv="$1" key="$2" extras="$3" log="$1/install.log"
  local status=0 started=$SECONDS
  shift 3
  say "installing into $venv with Python $FOUND_VERSION (1.1 GB in about a" \
    "minute, more with cuda, tpu or tf; extras: ${extras:-none}; log: $log)"
  rm -rf "$venv"
  mkdir -p "$venv"
  printf 'partial\n%s\n' "$extras" >"$venv/enhance.state"
  logged "$log" "$FOUND" -m venv "$venv" || status=$?
  if ((status == 0)); then
    logged "$log" "$venv/bin/python" -I -m pip install \
      -r "$ROOT/requirements.txt" "$@" || status=$?
  fi
  if ((status != 0)); then
    say "error: installing failed with status $status; the end of $log:"
    tail -n 20 "$log" >&2
    say "the next start tries again from the beginning"
    exit "$status"
  fi
  printf '%s\n%s\n' "$key" "$extras" >"$venv/enhance.state.new"
  mv "$venv/enhance.state.new" "$venv/enhance.state"
  say "installed in $((SECONDS - started)) s"
}

# ensure_venv VENV X.Y|"" EXTRA...: makes it ready; the extras of earlier calls
# stay. With DRY_RUN=1 it only prints what it would run.
ensure_venv() {
  local venv="$1" version="$2" lines extra extras=()
  shift 2
  read -ra extras <<<"$(installed_extras "$venv")"
  for extra in "$@"; do
    if [[ " ${extras[*]-} " != *" $extra "* ]]; then extras+=("$extra"); fi
  done
  set -- ${extras[@]+"${extras[@]}"}
  if [[ -z "$version" && -n "${PYTHON:-}" ]]; then
    find_python
    version="$FOUND_VERSION"
  fi
  if venv_ready "$venv" "$version" "$@"; then return; fi
  if [[ ! -f "$venv/enhance.state" && -n "$(ls -A "$venv" 2>/dev/null)" ]]; then
    die "$venv exists but was not made by this script; move it away and run" \
      "the script again"
  fi
  if [[ -z "${FOUND:-}" ]]; then find_python "$version"; fi
  lines="$(wanted "$FOUND" "$@")" || exit 1
  local requirements=() line
  while IFS= read -r line; do
    if [[ -n "$line" ]]; then requirements+=("$line"); fi
  done <<<"$lines"
  if [[ "${DRY_RUN:-0}" == 1 ]]; then
    show "$FOUND" -m venv "$venv"
    show "$venv/bin/python" -I -m pip install -r "$ROOT/requirements.txt" \
      "${requirements[@]:1}"
    return
  fi
  if command -v flock >/dev/null; then
    # pip inherits the lock, so it outlives a start that was killed.
    exec 9>"$venv.lock"
    if ! flock -n 9; then
      say "waiting for another start that is installing into $venv"
      flock 9
      if venv_ready "$venv" "$version" "$@"; then
        exec 9>&-
        return
      fi
    fi
  fi
  install "$venv" "${requirements[0]}" "$*" "${requirements[@]:1}"
  if command -v flock >/dev/null; then exec 9>&-; fi
}
