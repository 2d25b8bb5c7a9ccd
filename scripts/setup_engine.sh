#!/usr/bin/env bash
# Installs podman with runc on Debian or Ubuntu, and checks that an engine answers. Run as root.
# The agent brings its own configuration of podman (docs/hub.md); nothing under /etc is changed.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

for engine in podman docker; do
  if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
    echo "$engine answers; nothing to install"
    exit 0
  fi
done

command -v apt-get >/dev/null || { echo "error: no apt-get here; install podman or docker by hand" >&2; exit 1; }
apt-get update -qq
apt-get install -y -qq --no-install-recommends podman runc netavark aardvark-dns iptables >/dev/null
podman info >/dev/null
echo "podman $(podman version --format '{{.Client.Version}}') answers"
