#!/usr/bin/env bash
# Makes .env with a random secret for each ${NAME:?} of docker-compose.yml. An existing .env is never changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

names=(MONGODB_ROOT_PASSWORD MONGODB_PASSWORD MONGODB_READER_PASSWORD MONGODB_KEY NATS_PASSWORD DATACOSMOS_JWT_SECRET)

# 64 letters, 364 bits: letters mean the same in a URL, a shell, a key file and nats.conf, where digits would be a number.
secret() {
    local letters
    letters=$(head -c 2048 /dev/urandom | LC_ALL=C tr -dc 'A-Za-z' | cut -c1-64)
    [[ ${#letters} -eq 64 ]] || { echo "make-env: /dev/urandom gave too little" >&2; return 1; }
    printf '%s\n' "$letters"
}

check() {
    local name lacking=()
    for name in "${names[@]}"; do
        grep -q "^${name}=." .env || lacking+=("$name")
    done
    if (( ${#lacking[@]} )); then
        echo "make-env: .env is there, so it is left alone; but it lacks ${lacking[*]}. Add a line for each" \
            "(64 random letters), or move .env away and run this again." >&2
        return 1
    fi
    echo "make-env: .env is there and complete; it is left alone."
}

generate() {
    local name value text='# The secrets of this installation. Keep a copy in a safe place: the volumes open with these only.'$'\n'
    for name in "${names[@]}"; do
        value=$(secret)
        text+="${name}=${value}"$'\n'
    done
    umask 077
    # noclobber: a file that someone else made in this instant stays theirs.
    (set -o noclobber; printf '%s' "$text" >.env)
    echo "make-env: .env is made, with a random secret for each of: ${names[*]}."
}

if [[ -e .env ]]; then check; else generate; fi
