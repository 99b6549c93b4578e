#!/usr/bin/env bash
# Runs the tests of engine, reader and middleware on interpreters that are to come, from a
# Debian suite that has them, in a chroot of its own. Needs root and debootstrap.
#
#   NEXT_SUITE=sid                 the suite
#   NEXT_ROOT=.chroot-next         where the chroot is made; kept for the next time
#   NEXT_PYTHONS="3.14 3.15"       the versions

set -euo pipefail
cd "$(dirname "$0")/.."

suite=${NEXT_SUITE:-sid}
root=${NEXT_ROOT:-.chroot-next}
read -ra versions <<<"${NEXT_PYTHONS:-3.14 3.15}"

if [ "$(id -u)" -ne 0 ]; then
    echo >&2 "test-next makes a chroot, which needs root"
    exit 1
fi
command -v debootstrap >/dev/null || apt-get install -qq --yes debootstrap >/dev/null

if [ ! -e "$root/usr/bin/python${versions[0]}" ]; then
    packages=ca-certificates,gcc,libc6-dev
    for version in "${versions[@]}"; do
        packages+=,python$version,python$version-dev,python$version-venv
    done
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" >/dev/null
fi
# The network is that of this machine.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT

rm -rf "$root/src"
mkdir "$root/src"
git archive HEAD | tar -x -C "$root/src"

for version in "${versions[@]}"; do
    printf '\n== Python %s\n' "$version"
    # Left out are packages whose wheels come late for a new interpreter: the tests that
    # need them skip.
    chroot "$root" sh -eu -c "
        cd /src
        [ -d /venv-$version ] || python$version -m venv /venv-$version
        /venv-$version/bin/pip install --quiet '.[demo]' coverage gevent gunicorn hypothesis \
            pyinstrument pytest pytest-timeout setuptools waitress yappi
        /venv-$version/bin/python setup.py --quiet build_ext --inplace
        /venv-$version/bin/python -VV
        /venv-$version/bin/python -m pytest tests/capture tests/profiles \
            tests/test_middleware.py tests/test_extension.py tests/test_servers.py
    "
done
