#!/bin/sh
# Makes a Python environment, also where the system's Python comes without venv: make-venv.sh FOLDER
# PYTHON=/path/to/python chooses the interpreter (3.11 or newer).
set -eu
folder=$1

fits() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
find_python() {
    for candidate in "${PYTHON:-}" python3.11 python3 python3.12 python3.13; do
        [ -n "$candidate" ] && fits "$candidate" && { echo "$candidate"; return 0; }
    done
    return 1
}
works() { "$folder/bin/python" -m pip --version >/dev/null 2>&1; }
fresh() { rm -rf "$folder"; }
by_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null; }

works && exit 0
echo "Making the Python environment in $folder"
if ! python=$(find_python); then
    by_root || { echo "UMS needs Python 3.11 or newer. Install it (Debian: apt-get install python3 python3-venv)." >&2; exit 1; }
    apt update && apt install -y python3 python3-venv
    python=$(find_python) || { echo "This system has no Python 3.11 or newer. Set PYTHON=/path/to/python3.11." >&2; exit 1; }
fi

fresh; "$python" -m venv "$folder" >/dev/null 2>&1 && works && exit 0
fresh; "$python" -m virtualenv -q "$folder" >/dev/null 2>&1 && works && exit 0
if "$python" -m pip --version >/dev/null 2>&1; then
    fresh; "$python" -m venv --without-pip "$folder" >/dev/null 2>&1 &&
        "$python" -m pip --python "$folder/bin/python" install -q pip >/dev/null 2>&1 && works && exit 0
fi
if by_root; then
    echo "Installing python3-venv"
    { apt install -y python3-venv || { apt update && apt install -y python3-venv; }; } &&
        fresh && "$python" -m venv "$folder" && works && exit 0
fi
fresh
echo "The Python environment cannot be made: $python has neither venv nor virtualenv nor pip." >&2
echo "Install one of them (Debian: apt-get install python3-venv) and run make again." >&2
exit 1
