#!/usr/bin/env bash
# Run a command with the servers that tests of the station talk to: tests/services.sh COMMAND...
#
# PostgreSQL and Mosquitto, of Debian's packages, run on free ports of 127.0.0.1 with their data in
# a temporary folder, and end with the command. It finds them by
#   PATCHCORE_DUAL_TEST_POSTGRES    postgresql://tester@127.0.0.1:PORT/postgres
#   PATCHCORE_DUAL_TEST_MOSQUITTO   127.0.0.1:PORT
# One that is not installed, or the browser of the page's tests and npm, which fetches their checker
# of accessibility, is installed where this runs as root, and else left out: tests that need
# it are skipped, and say so.
#
# Temporary files, the servers' and the command's, lie in memory where 6 GiB of it are free and TMPDIR
# names no other place: what most tests of the station wait for is a disk that makes each write
# durable, and no test loses power.
set -euo pipefail

# Whether /dev/shm is memory, has room, and runs programs, as an environment that a test installs.
memory_has_room() {
    local room free
    room=$(df --type=tmpfs --output=avail /dev/shm 2>/dev/null | tail -n 1) || return 1
    free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) || return 1
    [ "$((room < free ? room : free))" -ge $((6 * 1024 * 1024)) ] || return 1
    [ -w /dev/shm ] && ! findmnt --noheadings --output OPTIONS /dev/shm | grep -qw noexec
}

place=${TMPDIR:-/tmp}
[ -n "${TMPDIR:-}" ] || ! memory_has_room || place=/dev/shm
folder=$(mktemp -d "$place/patchcore-dual-services.XXXXXX")
chmod 755 "$folder"
if [ "$place" = /dev/shm ]; then # given back at the end
    mkdir -m 1777 "$folder/temporary"
    export TMPDIR=$folder/temporary
fi
servers=()

finish() {
    for server in "${servers[@]}"; do
        kill -INT "$server" 2>/dev/null || true # PostgreSQL: end at once, in order
    done
    for server in "${servers[@]}"; do
        wait "$server" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap finish EXIT

# Prints the path of a program; nothing where it is not installed.
find_program() {
    command -v "$1" || ls "/usr/sbin/$1" "/usr/lib/postgresql"/*/bin/"$1" 2>/dev/null | tail -n 1
}

install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    echo "Installing $* for the tests of the station." >&2
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
        --no-install-recommends "$@"; } >"$folder/apt.log" 2>&1 || tail -n 5 "$folder/apt.log" >&2
}

# Servers refuse to run as root, or should not: the command that starts a program as another user.
as_user=()
become() {
    [ "$(id -u)" != 0 ] || as_user=(setpriv --reuid="$1" --regid="$1" --init-groups --)
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_for_port() {
    for _ in $(seq 150); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.2
    done
    return 1
}

missing() {
    echo "$1 is not there, so its tests are skipped. On Debian: apt-get install $2" >&2
}

start_postgres() {
    local data=$folder/postgres port initdb postgres
    initdb=$(find_program initdb) && postgres=$(find_program postgres) && [ -n "$postgres" ] || return 1
    mkdir "$data"
    [ "$(id -u)" != 0 ] || chown postgres "$data"
    become postgres
    "${as_user[@]}" "$initdb" -D "$data" -U tester -A trust -E UTF8 --no-sync >"$folder/initdb.log" ||
        return 1
    port=$(free_port)
    "${as_user[@]}" "$postgres" -D "$data" -c listen_addresses=127.0.0.1 -c port="$port" \
        -c unix_socket_directories= -c max_connections=200 >"$folder/postgres.log" 2>&1 &
    servers+=($!)
    wait_for_port "$port" || { tail -n 5 "$folder/postgres.log" >&2; return 1; }
    export PATCHCORE_DUAL_TEST_POSTGRES="postgresql://tester@127.0.0.1:$port/postgres"
}

start_mosquitto() {
    local port mosquitto
    mosquitto=$(find_program mosquitto) && [ -n "$mosquitto" ] || return 1
    port=$(free_port)
    printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$port" \
        >"$folder/mosquitto.conf"
    become mosquitto
    "${as_user[@]}" "$mosquitto" -c "$folder/mosquitto.conf" >"$folder/mosquitto.log" 2>&1 &
    servers+=($!)
    wait_for_port "$port" || { tail -n 5 "$folder/mosquitto.log" >&2; return 1; }
    export PATCHCORE_DUAL_TEST_MOSQUITTO="127.0.0.1:$port"
}

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v chromedriver >/dev/null || packages+=(chromium-driver)
command -v npm >/dev/null || packages+=(npm)
[ -n "$(find_program initdb)" ] || packages+=(postgresql)
[ -n "$(find_program mosquitto)" ] || packages+=(mosquitto)
[ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"

start_postgres || missing PostgreSQL postgresql
start_mosquitto || missing Mosquitto mosquitto

"$@"
