#!/bin/sh
# Makes everything the Makefile's targets need, once: ffmpeg, an environment in .venv with the locked packages, this package.
# Package indexes and certificates come from the user's own configuration (pip's or uv's). Runs again in a blink.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

# apt_install "why" PACKAGE…: installs by the system's package manager, or says the one command that does.
apt_install() {
    why=$1; shift
    if ! command -v apt-get >/dev/null || ! may_be_root; then
        fail "$why. Please run:  sudo apt-get update && sudo apt-get install -y $*"
    fi
    say "Installing $* ($why)"
    (quietly "the package lists could not all be brought up to date" as_root apt-get update -qq) || say "Going on with the lists there are"
    quietly "could not install $*" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# quietly "what failed" COMMAND…: no output but the seconds that pass, and the end of its log if it fails.
quietly() {
    what=$1; shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 &
    pid=$! seconds=0
    while kill -0 "$pid" 2>/dev/null; do
        if [ -t 2 ]; then printf '\r    %s s ' "$seconds" >&2; fi
        sleep 1
        seconds=$((seconds + 1))
    done
    if [ -t 2 ]; then printf '\r' >&2; fi
    wait "$pid" || { tail -n 30 "$log" >&2; fail "$what"; }
    rm -f "$log"
}

find_python() {
    for name in ${PYTHON:-} python3.11 python3.12 python3; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
            # The interpreter itself, not a version manager's wrapper around it
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

# uv fills an environment in seconds where pip takes minutes. It is put beside the project, never into the system.
find_uv() {
    if command -v uv >/dev/null; then command -v uv; return; fi
    [ -x .tools/uv/bin/uv ] || {
        "$python" -m pip --version >/dev/null 2>&1 || apt_install "the set-up needs pip" python3-pip >&2
        "$python" -m pip install -q --disable-pip-version-check --target .tools/uv 'uv>=0.5' 2>.tools-pip.log \
            || { cat .tools-pip.log >&2; fail "pip could not install uv"; }
        rm -f .tools-pip.log
    }
    echo .tools/uv/bin/uv
}

# uv does not read pip's configuration: hand over the index and the certificates that the user gave pip.
adopt_pip_configuration() {
    "$python" -m pip --version >/dev/null 2>&1 || return 0
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] && index=$("$python" -m pip config get global.index-url 2>/dev/null); then
        export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ] && cert=${PIP_CERT:-$("$python" -m pip config get global.cert 2>/dev/null)} && [ -n "$cert" ]; then
        export SSL_CERT_FILE="$cert"
    fi
}

command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || apt_install "video needs FFmpeg" ffmpeg

# Test servers are installed only when asked for (CI does): tests that need them skip with a reason otherwise.
if [ -n "${REFRAMER_TEST_SERVERS:-}" ]; then
    { [ -x /usr/sbin/pgbouncer ] && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; } \
        || apt_install "tests against a stand-alone Postgres" postgresql pgbouncer openssl
fi

python=$(find_python) || fail "Python 3.11 or 3.12 is needed. Please run:  sudo apt-get install -y python3.11"
stamp=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)-$python
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    uv=$(find_uv)
    adopt_pip_configuration
    say "Filling .venv with the locked packages (about 6.5 GB, once; a minute or two on a fast line)"
    "$uv" venv -q --allow-existing --python "$python" .venv
    # The lock also pins what sdists are built with, so that building sam2 does not fetch a second torch.
    SAM2_BUILD_CUDA=0 quietly "the packages could not be installed" \
        "$uv" pip install --python .venv/bin/python --require-hashes --build-constraints requirements.lock -r requirements.lock
    "$uv" pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
    echo "$stamp" >.venv/.stamp
fi
