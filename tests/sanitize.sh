#!/bin/sh
# Builds what is in C with AddressSanitizer and UndefinedBehaviorSanitizer, every warning an
# error, and runs its tests: once under the sanitizers with plain malloc, so that they see
# each object of Python, and once under Python's own memory debugger in development mode.
#
#   tests/sanitize.sh [PYTHON [PYTEST ARGUMENTS]]      from the top of the checkout
set -eu
python=${1:-python}
[ $# -eq 0 ] || shift
place=$PWD/build/sanitized
rm -rf "$place"
FLASKPROF_CFLAGS="-g -O1 -std=c11 -Wall -Wextra -Werror -fno-omit-frame-pointer
    -fsanitize=address,undefined -fno-sanitize-recover=undefined" \
FLASKPROF_LDFLAGS="-fsanitize=address,undefined" \
    "$python" setup.py --quiet build --build-lib "$place" --build-temp "$place.tmp"
# The extensions are optional for users; here a build that failed is a failure.
is_built() {
    ls "$place"/flaskprof/capture/_calltree.*.so \
        "$place"/flaskprof/metrics/_request.*.so \
        "$place"/flaskprof/profiles/_marshal.*.so > /dev/null
}
is_built
tests="tests/capture tests/metrics tests/profiles"
chosen="calltree or test_cells or test_visit or test_torn_reads or test_marshal"

# The timeouts of tests are those of an engine that is not sanitized.
echo "== AddressSanitizer and UndefinedBehaviorSanitizer"
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
PYTHONMALLOC=malloc PYTHONPATH="$place" FLASKPROF_SANITIZED=1 \
    "$python" -P -m pytest $tests -k "$chosen" --timeout 600 "$@"

rm "$place"/flaskprof/*/_*.so
FLASKPROF_CFLAGS="-g -O1 -UNDEBUG -Wall -Wextra -Werror" \
    "$python" setup.py --quiet build --force --build-lib "$place" --build-temp "$place.tmp"
is_built
echo "== Python's memory debugger, development mode"
PYTHONMALLOC=debug PYTHONPATH="$place" \
    "$python" -X dev -P -m pytest $tests -k "$chosen" --timeout 600 "$@"
