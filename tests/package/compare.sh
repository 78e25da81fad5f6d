#!/usr/bin/env bash
# Compares two Debian packages, or two programs, byte by byte, and shows what differs and where.
#
#   tests/package/compare.sh ONE OTHER
#
# Exit code 0 if they are the same, 1 if they aren't, 66 if one can't be read. Needs dpkg-deb and, to
# tell where a program differs, binutils.
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "usage: tests/package/compare.sh ONE OTHER" >&2
    exit 64
fi
for file in "$@"; do
    if [ ! -r "$file" ] || [ ! -f "$file" ]; then
        echo "can't read \`$file\`: wanted a package or a program" >&2
        exit 66
    fi
done
one=$(realpath "$1") other=$(realpath "$2")
sha256sum "$one" "$other"
if cmp -s "$one" "$other"; then
    exit 0
fi
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT

# The first lines of a difference, and how many more there are.
shown() { # WHAT ONE OTHER
    local lines
    if lines=$(diff "$2" "$3"); then return; fi
    echo "$1:"
    head -n 20 <<<"$lines" | sed 's/^/    /'
    [ "$(wc -l <<<"$lines")" -le 20 ] || echo "    … $(wc -l <<<"$lines") lines of difference"
}
is_elf() { head -c 4 "$1" | cmp -s - <(printf '\177ELF'); }

# Where two files differ: sections and words of programs, lines of text, bytes of the rest.
differ() { # NAME ONE OTHER
    echo "$1: $(stat -c %s "$2") and $(stat -c %s "$3") bytes, $( (cmp -l "$2" "$3" 2>/dev/null || true) | wc -l) differ" \
        "as far as both go"
    if is_elf "$2" && is_elf "$3" && command -v readelf >/dev/null; then
        shown "  its sections" <(readelf -SW "$2") <(readelf -SW "$3")
        local section
        (readelf -SW "$2" 2>/dev/null || true) | sed -n 's/^ *\[ *[0-9]*\] \(\.[^ ]*\).*/\1/p' | while read -r section; do
            shown "  $section" <(readelf -p "$section" "$2" 2>/dev/null) <(readelf -p "$section" "$3" 2>/dev/null)
            cmp -s <(readelf -x "$section" "$2" 2>/dev/null) <(readelf -x "$section" "$3" 2>/dev/null) ||
                echo "  section $section isn't the same"
        done
    elif [ "${1%.gz}" != "$1" ]; then
        shown "  its lines" <(gzip -dc "$2") <(gzip -dc "$3")
        shown "  its header" <(head -c 10 "$2" | od -An -tx1) <(head -c 10 "$3" | od -An -tx1)
    else
        shown "  its lines" "$2" "$3"
    fi
}

if dpkg-deb --info "$one" >/dev/null 2>&1 && dpkg-deb --info "$other" >/dev/null 2>&1; then
    # Owners, modes, times and order: of the archive, of its parts, and of what is in them.
    shown "members of the archive" <(ar tvO "$one" 2>/dev/null || ar tv "$one") \
        <(ar tvO "$other" 2>/dev/null || ar tv "$other")
    for part in ctrl fsys; do
        shown "entries of the $part part" \
            <(dpkg-deb --$part-tarfile "$one" | tar --numeric-owner --full-time -tvf -) \
            <(dpkg-deb --$part-tarfile "$other" | tar --numeric-owner --full-time -tvf -)
    done
    dpkg-deb -R "$one" "$unpacked/one"
    dpkg-deb -R "$other" "$unpacked/other"
    # What only one of them has, the entries above have shown.
    (cd "$unpacked/one" && find . -type f) | sort | while read -r file; do
        [ -f "$unpacked/other/$file" ] || continue
        cmp -s "$unpacked/one/$file" "$unpacked/other/$file" ||
            differ "${file#./}" "$unpacked/one/$file" "$unpacked/other/$file"
    done
else
    differ "${1##*/}" "$one" "$other"
fi
exit 1
