#!/usr/bin/env bash
# Makes a Cloud TPU VM or pod slice, trains on it, takes it down again.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
bash launch/tpu_vm.sh COMMAND NAME [OPTION]... [ARGUMENT]...

  create  queues a request for the TPU; status says when it is ACTIVE
  setup   copies the project to every worker and installs it there
  run     starts enhance_jax.main ARGUMENT... on every worker, in the
          background; the same command again resumes from its work directory
  status  the state of the request and the end of worker 0's log
  delete  gives the TPU back, with everything that is on its disks

  --zone=ZONE --project=PROJECT  otherwise as gcloud is configured
  --type=TYPE        accelerator (create; v5litepod-8)
  --version=VERSION  runtime (create; v2-alpha-tpuv5-lite)
  --spot             cheaper, may be taken away at any time (create)
  --dry-run          print the gcloud commands and do nothing
  --                 everything after this is an argument

More than one worker needs a work directory that all of them can reach.
TEXT
}

# gcloud_run WORD...: gcloud, or its command line on --dry-run.
gcloud_run() {
  if ((dry_run)); then
    show gcloud "$@" ${place[@]+"${place[@]}"}
  else
    gcloud "$@" ${place[@]+"${place[@]}"}
  fi
}

# on_workers WHICH SCRIPT: runs a shell script on worker WHICH, or on "all".
on_workers() {
  gcloud_run compute tpus tpu-vm ssh "$name" "--worker=$1" "--command=$2"
}

setup() {
  local folder="/tmp" part parts=()
  for part in LICENSE README.md configs enhance_jax launch pyproject.toml \
    requirements.txt; do
    if [[ -e "$ROOT/$part" ]]; then parts+=("$part"); fi
  done
  local pack=(--exclude=__pycache__ -C "$ROOT" "${parts[@]}")
  if ((dry_run)); then
    show tar -czf "$folder/enhance_jax.tgz" "${pack[@]}"
  else
    folder="$(mktemp -d)"
    # shellcheck disable=SC2064  # the name of now, not of the end
    trap "$(printf 'rm -rf %q' "$folder")" EXIT
    tar -czf "$folder/enhance_jax.tgz" "${pack[@]}"
  fi
  gcloud_run compute tpus tpu-vm scp "$folder/enhance_jax.tgz" \
    "$name:enhance_jax.tgz" --worker=all
  # The usual TPU image has Python 3.10; uv brings a newer one.
  # shellcheck disable=SC2016  # expanded on the worker
  on_workers all 'set -e
mkdir -p enhance_jax
tar -xzf enhance_jax.tgz -C enhance_jax
if ! bash enhance_jax/launch/local.sh --dry-run >/dev/null 2>&1; then
  python3 -m pip install --quiet --user uv
  python3 -m uv python install 3.12
  PYTHON="$(python3 -m uv python find 3.12)"
  export PYTHON
fi
bash enhance_jax/launch/local.sh --extra=tpu --install'
}

# What the worker knows about a run that an earlier call started.
# shellcheck disable=SC2016  # expanded on the worker
IN_PROGRESS='pid="$(cat enhance_jax.pid 2>&1)" && kill -0 "$pid" 2>/dev/null'

run() {
  local line
  printf -v line ' %q' bash launch/local.sh -- "$@"
  # shellcheck disable=SC2016  # expanded on the worker
  on_workers all "if $IN_PROGRESS; then"'
  echo "a run is in progress on $(hostname); see enhance_jax.log" >&2
  exit 1
fi
cd enhance_jax || exit 1
ENHANCE_DISTRIBUTED=1 nohup'"$line"' >>../enhance_jax.log 2>&1 </dev/null &
echo "$!" >../enhance_jax.pid'
}

status() {
  local state
  state="$(gcloud_run compute tpus queued-resources describe "$name" \
    "--format=value(state.state)")"
  printf '%s\n' "$state"
  if ((dry_run)) || [[ "$state" == ACTIVE ]]; then
    on_workers 0 "if $IN_PROGRESS; then echo running; else echo not running; fi
tail -n 20 enhance_jax.log"
  fi
}

verb="${1:-}"
case "$verb" in
  create | setup | run | status | delete) ;;
  --help | -h)
    usage
    exit 0
    ;;
  *)
    usage >&2
    die "\"$verb\" is no command; wanted create, setup, run, status or delete"
    ;;
esac
name="${2:-}"
if ! [[ "$name" =~ ^[a-z][a-z0-9-]*$ ]]; then
  die "\"$name\" is no TPU name; wanted small letters, digits and hyphens," \
    "right after \"$verb\""
fi
shift 2

type="v5litepod-8"
version="v2-alpha-tpuv5-lite"
place=()
spot=()
dry_run=0
while (($# > 0)); do
  case "$1" in
    --zone=* | --project=*) place+=("$1") ;;
    --type=*) type="${1#*=}" ;;
    --version=*) version="${1#*=}" ;;
    --spot) spot=(--spot) ;;
    --dry-run) dry_run=1 ;;
    --)
      shift
      break
      ;;
    *) break ;;
  esac
  shift
done
if [[ "$verb" != run ]] && (($# > 0)); then
  die "\"$verb\" takes no argument \"$1\"; see --help"
fi
if ((!dry_run)) && ! command -v gcloud >/dev/null; then
  die "gcloud is not installed; see https://cloud.google.com/sdk/docs/install"
fi

case "$verb" in
  create)
    gcloud_run compute tpus queued-resources create "$name" \
      "--node-id=$name" "--accelerator-type=$type" \
      "--runtime-version=$version" ${spot[@]+"${spot[@]}"}
    ;;
  delete) gcloud_run compute tpus queued-resources delete "$name" --force ;;
  setup) setup ;;
  run) run "$@" ;;
  status) status ;;
esac
