#!/bin/sh
# Checks the page's JavaScript and style sheet: biome (with --write it mends what it can), then the types by tsc.
set -eu
cd "$(dirname "$0")"
PATH="$(cd ../../.. && pwd)/.venv/bin:$PATH"
if [ ! -e node_modules/.installed ]; then
    echo "the page is not checked: npm could not install tsc and biome"
    exit 0
fi
node_modules/.bin/biome check --error-on-warnings --config-path=. "$@" ../../../datacosmos/page/static
node_modules/.bin/tsc --project tsconfig.json
