#!/usr/bin/env bash
# Starts mongod with the key file that members of a replica set know each other by.
# mongod takes it from its own user at mode 0600 or less only, and a mounted file has the host's owner; so it is written here, in memory.
set -euo pipefail
umask 077
printf '%s\n' "${MONGODB_KEY:?}" >/run/mongodb/key
unset MONGODB_KEY
# As many open files as MongoDB asks for, or as many as the daemon allows.
most=$(ulimit -Hn)
if [[ $most == unlimited ]] || (( most > 64000 )); then most=64000; fi
ulimit -Sn "$most"
exec docker-entrypoint.sh mongod --keyFile /run/mongodb/key "$@"
