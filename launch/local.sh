#!/usr/bin/env bash
# Trains or evaluates on this machine, in an environment of its own.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

VENV="$ROOT/.venv"

usage() {
  cat <<'TEXT'
bash launch/local.sh [OPTION]... ARGUMENT...

Runs `python -m enhance_jax.main ARGUMENT...` on this machine. The first start
makes the environment .venv in the project folder (1.1 GB, about a minute); a
changed requirements.txt makes it anew. Relative paths are relative to the
folder you are in. A run that was stopped resumes from its work directory.

  --processes=N  N processes that form one run. With GPUs: one process a GPU.
  --extra=NAME   also install cuda, cuda12, tpu, tf or app; needed once, then kept
  --install      only make the environment
  --dry-run      print the commands and do nothing
  --help         this text; the arguments of enhance_jax.main: -- --help
  --             everything after this is an argument

$PYTHON names the Python to use; otherwise the newest of 3.11 to 3.13 is taken.
Other commands: .venv/bin/python -m enhance_jax.upscale --help
TEXT
}

# stop SIGNAL: passes it on to every process, the second time without mercy.
stop() {
  local pid
  for pid in ${alive[@]+"${alive[@]}"}; do
    if [[ -n "$stopping" ]]; then
      kill -KILL -- "-$pid" 2>/dev/null || true
    else
      kill "-$1" "$pid" 2>/dev/null || true
    fi
  done
  stopping="$1"
}

# run_processes COUNT COMMAND...: one run of COUNT processes on the loopback
# interface. The first that fails gives the status; the others get TERM and,
# ENHANCE_GRACE seconds later, KILL.
run_processes() {
  local count="$1" port index pid result status=0 deadline=""
  shift
  alive=()
  stopping=""
  port="$("$VENV/bin/python" -I -c '
import socket
with socket.socket() as probe:
  probe.bind(("127.0.0.1", 0))
  print(probe.getsockname()[1])
')"
  trap 'stop INT' INT
  trap 'stop TERM' TERM HUP
  # Job control gives each process a group of its own, workers included.
  set -m
  for ((index = 0; index < count; index++)); do
    ENHANCE_COORDINATOR="127.0.0.1:$port" ENHANCE_NUM_PROCESSES="$count" \
      ENHANCE_PROCESS_ID="$index" JAX_LOCAL_DEVICE_IDS="$index" \
      "$@" </dev/null &
    alive+=("$!")
  done
  set +m
  while ((${#alive[@]} > 0)); do
    for index in "${!alive[@]}"; do
      pid="${alive[index]}"
      if kill -0 "$pid" 2>/dev/null; then continue; fi
      result=0
      wait "$pid" 2>/dev/null || result=$?
      unset "alive[index]"
      kill -KILL -- "-$pid" 2>/dev/null || true
      if ((result != 0 && status == 0)); then
        status="$result"
        deadline=$((SECONDS + ${ENHANCE_GRACE:-30}))
        say "process $index of $count ended with status $result;" \
          "ending the others"
        if [[ -z "$stopping" ]]; then stop TERM; fi
      fi
    done
    if [[ -n "$deadline" ]] && ((SECONDS >= deadline)); then stop KILL; fi
    sleep 0.2
  done
  return "$status"
}

processes=1
extras=()
install_only=0
DRY_RUN=0
arguments=()
while (($# > 0)); do
  case "$1" in
    --processes=*) processes="${1#*=}" ;;
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
if ! [[ "$processes" =~ ^[1-9][0-9]{0,2}$ ]]; then
  die "--processes=$processes; wanted a whole number from 1 to 999"
fi

ensure_venv "$VENV" "" ${extras[@]+"${extras[@]}"}
if ((install_only)); then exit 0; fi
if command -v nvidia-smi >/dev/null &&
  [[ "$(installed_extras "$VENV")" != *cuda* ]]; then
  say "this machine has an NVIDIA GPU, but the environment computes on the" \
    "CPU; --extra=cuda changes that"
fi

# The package is found through PYTHONPATH and not by changing the folder, so
# that every relative path in the arguments means what it says; -P keeps
# modules that lie in the user's folder from shadowing ours.
command=("$VENV/bin/python" -P -m enhance_jax.main
  ${arguments[@]+"${arguments[@]}"})
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
if ((DRY_RUN)); then
  if ((processes > 1)); then
    for ((index = 0; index < processes; index++)); do
      show env "PYTHONPATH=$PYTHONPATH" ENHANCE_COORDINATOR=127.0.0.1:PORT \
        "ENHANCE_NUM_PROCESSES=$processes" "ENHANCE_PROCESS_ID=$index" \
        "JAX_LOCAL_DEVICE_IDS=$index" "${command[@]}"
    done
  else
    show env "PYTHONPATH=$PYTHONPATH" "${command[@]}"
  fi
elif ((processes > 1)); then
  run_processes "$processes" "${command[@]}"
else
  exec "${command[@]}"
fi
