#!/bin/sh
# A real training moves between three regions over 72 grid hours, on this machine: the clock of grid and schedule
# runs 1,800 times as fast; processes, checkpoints, Terraform, metering and teardown are real.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
HARCHOS_HOME="${DEMO_HOME:-.demo/rehearse}"
export PATH HARCHOS_HOME
mkdir -p "$HARCHOS_HOME"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
run() { say "$@"; "$@"; }

# The workload's own image is several GB: the rehearsal takes this machine's Python instead.
run harchos config set local.image host
[ -z "${DEMO_ENGINE:-}" ] || run harchos config set local.engine "$DEMO_ENGINE"
# A July of the replay in which California, Germany and Great Britain take turns at being the cleanest.
run harchos plan configs/training/digits-moves.yaml --now 2022-07-15T06:00Z --out "$HARCHOS_HOME/moves.plan.json"
run harchos apply "$HARCHOS_HOME/moves.plan.json" --rehearse --speed 1800 --yes
run harchos report
run harchos report --format html --out "$HARCHOS_HOME/report.html"
run harchos status
