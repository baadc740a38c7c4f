#!/bin/sh
# The unit tests on each Python from 3.11 to 3.14 (or those given) that is found among pyenv's versions or on PATH.
cd "$(dirname "$0")/.." || exit
failed=""

interpreter() { # the first that runs; a shim of pyenv may stand for none
    for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python "python$1"; do
        "$python" -c "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '$1'.split('.'))))" 2>/dev/null || continue
        echo "$python"
        return
    done
}

try() { # VERSION PYTHON
    pip=".venv-$1/bin/python -m pip --disable-pip-version-check --quiet"
    [ -x ".venv-$1/bin/python" ] || "$2" -m venv ".venv-$1" || return
    $pip install --require-hashes -r requirements-test.txt || return
    $pip install --no-deps --no-build-isolation --editable . || return
    ".venv-$1/bin/python" -m pytest -p no:cacheprovider tests/unit
}

[ $# -gt 0 ] || set -- 3.11 3.12 3.13 3.14
for version; do
    python=$(interpreter "$version")
    if [ -z "$python" ]; then
        echo "Python $version: not found, not tried"
    elif try "$version" "$python"; then
        echo "Python $version: passed"
    else
        failed="$failed $version"
        echo "Python $version: FAILED"
    fi
done
[ -z "$failed" ]
