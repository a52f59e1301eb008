#!/bin/sh
# Brings a bare Debian machine to the point where Proctor can run: Python's venv module, a container engine,
# and what the demonstration images are made with. Does nothing where all of it is there already.
# Arguments: names of further Debian packages (the tests name some).
#
# PROCTOR_ENGINE or DOCKER_HOST names an engine elsewhere; then none is installed or started here.
set -eu

say() { printf '%s\n' "$*" >&2; }

engine_url=${PROCTOR_ENGINE:-${DOCKER_HOST:-unix:///var/run/docker.sock}}
engine_answers() {
    python3 - "$engine_url" <<'PYTHON'
import socket, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
try:
    if url.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5)
        connection.connect(url.path)
        connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
        sys.exit(0 if b" 200 " in connection.recv(64) else 1)
    socket.create_connection((url.hostname, url.port or 2375), timeout=5).close()
except OSError:
    sys.exit(1)
PYTHON
}

missing=
command -v python3 >/dev/null || missing="$missing python3"
python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || missing="$missing debootstrap"
{ command -v gcc >/dev/null && [ -e /usr/include/stdio.h ]; } || missing="$missing gcc libc6-dev"
start_engine=
if ! engine_answers; then
    if [ -n "${PROCTOR_ENGINE:-}${DOCKER_HOST:-}" ]; then
        say "proctor: no container engine answers at $engine_url, which PROCTOR_ENGINE or DOCKER_HOST names."
        say "Start that engine, or unset the variable to use an engine on this machine."
        exit 4
    fi
    start_engine=yes
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || missing="$missing docker.io"
fi
further=
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || further="$further $package"
done

if [ "$(id -u)" != 0 ] && [ -n "$missing$further$start_engine" ]; then
    [ -z "$missing$further" ] || say "proctor: this machine lacks:$missing$further"
    [ -z "$start_engine" ] || say "proctor: no container engine answers at $engine_url."
    say "Two ways out: run the same command as root, which installs and starts Debian's;"
    say "or have an administrator install the packages, and point PROCTOR_ENGINE at an engine you may use."
    exit 4
fi

# Of the further packages, those that Debian has for this release and processor; what needs the others is skipped.
offered() {
    for package in $further; do
        if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
            printf ' %s' "$package"
        else
            say "proctor: Debian has no package $package for this machine; going on without it."
        fi
    done
}

if [ -n "$missing$further" ]; then
    say "proctor: installing from Debian:$missing$further"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # A package's own start script must not start services here: the engine is started below, and said so.
    # shellcheck disable=SC2086
    if ! { apt-get install -y -q --no-install-recommends $missing $further >"$log" 2>&1 || {
        apt-get update -q >>"$log" 2>&1 && further=$(offered) &&
            { [ -z "$missing$further" ] ||
                apt-get install -y -q --no-install-recommends $missing $further >>"$log" 2>&1; }; }; }; then
        say "proctor: Debian's packages could not be installed:"
        tail -n 15 "$log" >&2
        exit 4
    fi
    rm -f "$log"
fi

if [ -n "$start_engine" ] && ! engine_answers; then
    if [ -d /run/systemd/system ]; then
        say "proctor: starting Debian's Docker Engine (systemctl start docker)."
        systemctl start docker
    else
        say "proctor: starting Debian's Docker Engine (dockerd, log in /var/log/proctor-dockerd.log)."
        rm -f /var/run/docker.pid
        PATH="$PATH:/usr/sbin:/sbin" setsid nohup dockerd >/var/log/proctor-dockerd.log 2>&1 </dev/null &
    fi
    tries=0
    until engine_answers; do
        tries=$((tries + 1))
        if [ "$tries" -gt 60 ]; then
            say "proctor: the engine did not answer within 60 seconds. Its last words:"
            tail -n 5 /var/log/proctor-dockerd.log >&2 || true
            exit 4
        fi
        sleep 1
    done
fi
