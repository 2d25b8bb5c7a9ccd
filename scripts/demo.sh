#!/bin/sh
# The whole road on this machine: plan, rehearse, report. Leaves nothing running and nothing outside .demo/.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
HARCHOS_HOME="${DEMO_HOME:-.demo}"
export PATH HARCHOS_HOME
mkdir -p "$HARCHOS_HOME"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
run() { say "$@"; "$@"; }

# The workload's own image is several GB: the rehearsal takes this machine's Python instead.
run harchos config set local.image host
[ -z "${DEMO_ENGINE:-}" ] || run harchos config set local.engine "$DEMO_ENGINE"
run harchos plan configs/training/digits.yaml --out "$HARCHOS_HOME/digits.plan.json"
run harchos apply "$HARCHOS_HOME/digits.plan.json" --rehearse --yes
run harchos report
run harchos report --format html --out "$HARCHOS_HOME/report.html"
run harchos status
