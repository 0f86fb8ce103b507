#!/bin/sh
# Make a virtual environment: make_environment.sh PYTHON FOLDER
set -eu
python=$1
folder=$2

test -x "$folder/bin/python" || "$python" -m venv "$folder" || {
    # Some systems ship Python without ensurepip; its own pip can fill the environment instead.
    rm -rf "$folder"
    "$python" -m venv --without-pip "$folder"
    "$python" -m pip --python "$folder/bin/python" install --quiet pip || {
        rm -rf "$folder"
        echo "error: this Python cannot make virtual environments; install its venv package (python3-venv) or set PYTHON=..." >&2
        exit 3
    }
}
