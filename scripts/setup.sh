#!/bin/sh
# Makes everything the Makefile's targets need, once: ffmpeg, an environment in .venv with the locked packages, this package.
# Package indexes and certificates come from the user's own configuration (pip's or uv's). Runs again in a blink.
# With the word `supply`: the tools of `make sbom` and `make audit`, too.
set -eu
cd "$(dirname "$0")/.."

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The words before a command that needs root
as_root=$([ "$(id -u)" = 0 ] || echo "sudo -n")
may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

# apt_install "why" PACKAGE…: installs by the system's package manager, or says the one command that does.
apt_install() {
    why=$1; shift
    if ! command -v apt-get >/dev/null || ! may_be_root; then
        fail "$why. Please run:  sudo apt-get update && sudo apt-get install -y $*"
    fi
    say "Installing $* ($why)"
    quietly $as_root apt-get update -qq || say "The package lists could not all be brought up to date: going on with those there are"
    quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" || fail "could not install $*"
}

# quietly COMMAND…: no output but the seconds that pass, and the end of its log if it fails. The command is a program, not a
# function, so that its process is the one that is ended with the script: what a script starts with & does not hear Ctrl-C.
quietly() {
    log=$(mktemp)
    began=$(date +%s)
    "$@" >"$log" 2>&1 &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        if [ -t 2 ]; then printf '\r    %s s ' "$(($(date +%s) - began))" >&2; fi
        sleep 0.2
    done
    if [ -t 2 ]; then printf '\r' >&2; fi
    status=0
    wait "$pid" || { status=$?; tail -n 30 "$log" >&2; }
    trap - INT TERM
    rm -f "$log"
    return "$status"
}

# old_ffmpeg: says which of the two programs is older than 5.1, which has -fps_mode; false if neither is. A build from a later
# commit has no such number and is taken.
old_ffmpeg() {
    for tool in ffmpeg ffprobe; do
        number=$("$tool" -version 2>/dev/null | sed -n '1s/^[a-z]* version n\{0,1\}\([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p')
        case $number in
            [0-4].* | 5.0) echo "$tool $number ($(command -v "$tool"))"; return ;;
        esac
    done
    return 1
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
    case $(uv --version 2>/dev/null) in
        "" | "uv 0."[0-4].*) ;; # none, or one that does not know these options
        *) command -v uv; return ;;
    esac
    [ -x .tools/uv/bin/uv ] || {
        "$python" -m pip --version >/dev/null 2>&1 || apt_install "the set-up needs pip" python3-pip >&2
        "$python" -m pip install -q --disable-pip-version-check --target .tools/uv 'uv>=0.5' 2>.tools-pip.log \
            || { cat .tools-pip.log >&2; fail "pip could not install uv"; }
        rm -f .tools-pip.log
    }
    echo .tools/uv/bin/uv
}

# pip_option NAME: what pip's configuration files say, several values on one line; nothing if they do not.
pip_option() {
    for section in install global; do
        value=$(printf '%s\n' "$pip_options" | sed -n "s/^$section\.$1=.\(.*\).\$/\1/p" | sed 's/\\n/ /g')
        if [ -n "$value" ]; then printf '%s\n' "$value"; return; fi
    done
}

# uv does not read pip's configuration: hand over the indexes and the certificates that the user gave pip. Not pip's find-links:
# another build of a locked version there (torch's +cpu) would be preferred, and its hash is not in the lock.
adopt_pip_configuration() {
    # The list has all of pip's files, with values as Python writes them; `pip config get` reads one file only.
    pip_options=$("$python" -m pip config list 2>/dev/null || true)
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        index=${PIP_INDEX_URL:-$(pip_option index-url)}
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${UV_INDEX:-}${UV_EXTRA_INDEX_URL:-}" ]; then
        extra=
        for index in ${PIP_EXTRA_INDEX_URL:-$(pip_option extra-index-url)}; do
            case $index in http://* | https://*) extra="$extra${extra:+ }$index" ;; esac
        done
        # As pip does it: the best of all indexes. The lock's hashes say that it is the right one.
        [ -z "$extra" ] || export UV_INDEX="$extra" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        cert=${PIP_CERT:-$(pip_option cert)}
        [ -z "$cert" ] || export SSL_CERT_FILE="$cert"
    fi
    # The system's certificates, where it has any, as pip: a company's own authority is among them.
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        if [ -s "$bundle" ]; then
            case $("$uv" pip install --help) in
                *--system-certs*) export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" ;;
                *) export UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}" ;; # its name before
            esac
            break
        fi
    done
}

command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || apt_install "video needs FFmpeg" ffmpeg
! old=$(old_ffmpeg) || fail "$old is too old: FFmpeg 5.1 or newer is needed. Debian 12, Ubuntu 24.04 and later have one;" \
    "on this system please put a build of your own first on PATH."

# Without it video is decoded behind a weaker fence, so who may not install it can go on.
if [ "$(uname -s)" = Linux ] && ! command -v bwrap >/dev/null; then
    if command -v apt-get >/dev/null && may_be_root; then
        apt_install "video is decoded in a sandbox" bubblewrap
    else
        say "bubblewrap is not installed: video is decoded without a sandbox (docs/limits.md)"
    fi
fi

# Test servers are installed only when asked for (CI does): tests that need them skip with a reason otherwise.
if [ -n "${REFRAMER_TEST_SERVERS:-}" ]; then
    { [ -x /usr/sbin/pgbouncer ] && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; } \
        || apt_install "tests against a stand-alone Postgres" postgresql pgbouncer openssl
    command -v faketime >/dev/null || apt_install "tests of clocks that jump" faketime
    command -v strace >/dev/null || apt_install "tests of what hostile files open" strace
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || apt_install "tests of warm workers" rabbitmq-server
    # Ubuntu's packages of these browsers are snaps, which a container cannot run
    { [ -x /usr/bin/chromium ] && [ -x /usr/bin/firefox-esr ]; } || ! grep -qx 'ID=debian' /etc/os-release \
        || apt_install "tests of the UI in browsers" chromium firefox-esr
fi

python=$(find_python) || fail "Python 3.11 or 3.12 is needed. Debian 12 and Ubuntu 24.04 have one" \
    "(sudo apt-get install -y python3); elsewhere install one, such as by  uv python install 3.12,  and name it:  PYTHON=/its/path make"
stamp=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)-$python
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    uv=$(find_uv)
    adopt_pip_configuration
    say "Filling .venv with the locked packages (about 6.5 GB, once; a minute or two on a fast line)"
    "$uv" venv -q --allow-existing --python "$python" .venv
    # The lock also pins what sdists are built with, so that building sam2 does not fetch a second torch.
    quietly env SAM2_BUILD_CUDA=0 \
        "$uv" pip install --python .venv/bin/python --require-hashes --build-constraints requirements.lock -r requirements.lock \
        || fail "the packages could not be installed"
    "$uv" pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
    echo "$stamp" >.venv/.stamp
fi

# own_environment NAME LOCK "what for": an environment in .tools for programs that want other libraries than ours.
own_environment() {
    stamp=$(sha256sum <"$2" | cut -d' ' -f1)-$python
    [ "$(cat ".tools/$1/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    uv=$(find_uv)
    adopt_pip_configuration
    say "Filling .tools/$1, $3"
    "$uv" venv -q --allow-existing --python "$python" ".tools/$1"
    quietly "$uv" pip install --python ".tools/$1/bin/python" --require-hashes -r "$2" || fail "what $2 names could not be installed"
    echo "$stamp" >".tools/$1/.stamp"
}

if [ -n "${REFRAMER_TEST_SERVERS:-}" ]; then
    own_environment datumaro reframer_pipeline_tests/exports/datumaro.lock "with which the tests read CVAT's format (about 500 MB, once)"
    own_environment deploy reframer_pipeline_tests/deploy/tools.lock "with which the tests check deploy/ (about 210 MB, once)"
fi

# `make sbom` and `make audit` ask for theirs.
if [ -n "${REFRAMER_TEST_SERVERS:-}" ] || [ "${1:-}" = supply ]; then
    own_environment supply reframer_pipeline_tests/supply/tools.lock "which lists the locked packages and their known defects (about 50 MB, once)"
fi

# What checks the types of the page's scripts: one package that needs no other, of exactly these bytes.
if [ -n "${REFRAMER_TEST_SERVERS:-}" ]; then
    typescript=6.0.3
    digest=cb64efbb14993c3c906a490544f6472859be28a56a222b1d83dfc26709bd7edbca5cb3fc3515a3dfcfce0e335baf8dd2b285ea36e022b047f519d0b1a9671d07
    if [ "$(cat .tools/typescript/.stamp 2>/dev/null)" != "$digest" ]; then
        command -v node >/dev/null && command -v npm >/dev/null || apt_install "tests of the page's types" nodejs npm
        say "Fetching .tools/typescript, which checks the page's types (23 MB, once)"
        mkdir -p .tools
        quietly npm pack --silent --pack-destination .tools "typescript@$typescript" || fail "typescript could not be fetched"
        echo "$digest  .tools/typescript-$typescript.tgz" | sha512sum --check --quiet || fail "typescript is not what it was"
        rm -rf .tools/typescript && mkdir .tools/typescript
        tar -xzf ".tools/typescript-$typescript.tgz" -C .tools/typescript --strip-components 1 && rm ".tools/typescript-$typescript.tgz"
        echo "$digest" >.tools/typescript/.stamp
    fi
fi
