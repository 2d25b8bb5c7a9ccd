#!/bin/sh
# Puts Azurite, the Azure Blob server that the tests of the mailbox start, into a cache directory.
# Needs node and npm; does nothing where it is there already.
set -eu

version=3.35.0
cache="${HARCHOS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/harchos-tests}/azurite"
server="$cache/node_modules/azurite/dist/src/blob/main.js"

if [ -f "$server" ] && node "$server" --version >/dev/null 2>&1; then
    exit 0
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "Azurite needs node and npm: install them (apt-get install nodejs npm) and run this again" >&2
    exit 1
fi
mkdir -p "$cache"
npm install --prefix "$cache" --no-audit --no-fund --no-save --loglevel=error "azurite@$version"
node "$server" --version
