#!/usr/bin/env bash
# The whole service in containers: nginx, api, calculation, ingest, write, MongoDB and NATS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
usage: ./stack.sh build            build the image
       ./stack.sh up [--demo]      make .env, build, start, wait until all is healthy, and say where it is;
                                   --demo: with a simulated data server
       ./stack.sh down             stop; the data stays
       ./stack.sh down --volumes   stop and delete the data
TEXT
}

fail() {
    echo "stack.sh: $*" >&2
    exit 1
}

# The first that know start_interval, by which a health check passes soon after the start.
LEAST_ENGINE=25.0
LEAST_COMPOSE=2.20.2

at_least() {
    printf '%s\n' "$1" "$2" | sort -V -C
}

need_versions() {
    local engine compose
    engine=$(docker version --format '{{.Server.Version}}')
    compose=$(docker compose version --short)
    at_least "$LEAST_ENGINE" "${engine#v}" ||
        fail "the docker engine is version $engine, and this needs $LEAST_ENGINE or newer: see https://docs.docker.com/engine/install/."
    at_least "$LEAST_COMPOSE" "${compose#v}" ||
        fail "docker compose is version $compose, and this needs $LEAST_COMPOSE or newer: see https://docs.docker.com/compose/install/."
}

need_docker() {
    command -v docker >/dev/null ||
        fail "docker is not installed: see https://docs.docker.com/engine/install/. Without it, make run starts all but nginx."
    docker compose version >/dev/null 2>&1 ||
        fail "docker has no compose plugin: see https://docs.docker.com/compose/install/."
    docker info >/dev/null 2>&1 ||
        fail "the docker engine does not answer: start it (sudo systemctl start docker), or join the group docker."
    need_versions
}

build() {
    deploy/make-env.sh
    # One image serves every command, so it is built once.
    docker compose build api
}

up() {
    if [[ ${1:-} == --demo ]]; then
        export COMPOSE_PROFILES=demo
        export DATACOSMOS_DATA_SERVER_URL=http://data-server:28462
    fi
    build
    docker compose up --detach --no-build --remove-orphans --wait --wait-timeout 300 ||
        fail "not everything came up: docker compose ps shows what, docker compose logs NAME shows why."
    tell "$(docker compose port nginx 8080)"
}

tell() {
    cat <<TEXT

DataCosmos is up:
  playground   http://$1/graphql
  REST         http://$1/docs
  health       http://$1/health
  a token      docker compose exec api datacosmos token --role admin
  the logs     docker compose logs --follow
  stop         ./stack.sh down
TEXT
}

down() {
    [[ -f .env ]] || fail ".env is missing, and compose needs it to name what it stops: put it back, or make a new one by make env."
    export COMPOSE_PROFILES=demo
    if [[ ${1:-} == --volumes ]]; then
        docker compose down --volumes --remove-orphans
        echo "Stopped. The data is deleted."
    else
        docker compose down --remove-orphans
        echo "Stopped. The data stays; ./stack.sh down --volumes deletes it."
    fi
}

case "$*" in
    build) need_docker; build ;;
    up | "up --demo") need_docker; up "${2:-}" ;;
    down | "down --volumes") need_docker; down "${2:-}" ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
esac
