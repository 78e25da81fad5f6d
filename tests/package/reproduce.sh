#!/usr/bin/env bash
# Builds the package twice, as on two machines, and compares: both have to be the same, bit for bit.
#
#   tests/package/reproduce.sh [--binary] [--quick] [DIRECTORY]
#
# Of the commit that is checked out, in DIRECTORY (target/reproduce; some 6 GB, removed if all is
# well). The second machine has another name, another clock (500 days later), another language, time
# zone and umask, other users, other directories for sources, home, crates and toolchain (with spaces),
# another file system, flags of compilers in the environment, and more jobs at a time; it builds from a
# clone, the first one from an archive.
#
# Needs root, for the users and for mounts of its own, what .ci/package needs, and Debian's faketime
# and locales. Takes twice as long as .ci/package. --binary compares the binary alone; with --quick
# the optimiser does little, which shows paths, users and times as well. Crates come from this user's,
# and from nowhere else.
set -euo pipefail
cd "$(dirname "$0")/../.."
quick=() options=()
while [[ "${1:-}" = --* ]]; do
    case $1 in
        --binary) options=(--binary) ;;
        --quick)
            quick=(CARGO_PROFILE_DIST_LTO=off CARGO_PROFILE_DIST_OPT_LEVEL=0 CARGO_PROFILE_DIST_CODEGEN_UNITS=16)
            ;;
        *)
            echo "usage: tests/package/reproduce.sh [--binary] [--quick] [DIRECTORY]" >&2
            exit 64
            ;;
    esac
    shift
done
fail() {
    echo "$*" >&2
    exit 1
}
[ "$(id -u)" -eq 0 ] || fail "needs root, for the users and for mounts of its own: sudo $0"
for tool in faketime localedef cargo-deb; do
    command -v $tool >/dev/null || fail "no $tool: apt-get install faketime locales; cargo install --locked cargo-deb"
done
work=$(realpath -m "${1:-target/reproduce}")
source=$PWD
sysroot=$(rustc --print sysroot)
registry=${CARGO_HOME:-$HOME/.cargo}/registry
deb=$(command -v cargo-deb)
commit=$(git rev-parse HEAD)
epoch=$(git log -1 --format=%ct "$commit")
rm -rf "$work"
mkdir -p "$work/1" "$work/2"
# Everybody may pass; what they build is theirs.
chmod 755 "$work"
# One has an archive, with the times of the commit; the other a clone, with those of now, for its user
# alone.
git archive "$commit" --prefix source/ | tar -x -C "$work/1"
(
    umask 077
    git clone -q --no-checkout "file://$source" "$work/2/source"
    git -C "$work/2/source" checkout -q --detach "$commit"
)

# NUMBER NAME DIRECTORY HOME CRATES UID TOOLCHAIN UMASK FILES WORD…: the words come before the command.
build() {
    local number=$1 name=$2 directory=$3 home=$4 crates=$5 uid=$6 toolchain=$7 mask=$8 files=$9
    shift 9
    echo "== build $number on $name: $directory, user $uid, home $home, crates at $crates, Rust at $toolchain"
    local root=$work/$number
    mkdir -p "$root/crates/registry" "$root/crates/bin" "$root/home/tmp" "$root/home/languages" "$root/source/target"
    # A language whose lower case of I isn't i.
    localedef -i tr_TR -f UTF-8 "$root/home/languages/tr_TR.UTF-8"
    cp -r "$registry/cache" "$registry/index" "$root/crates/registry/"
    cp "$deb" "$root/crates/bin/"
    # It can't bear another clock, and asks none: see below.
    printf '#!/bin/sh\nunset LD_PRELOAD\nexec %s/bin/rustc "$@"\n' "$toolchain" >"$root/crates/bin/rustc"
    chmod 755 "$root/crates/bin/rustc"
    chown -R "$uid:$uid" "$root"
    # The places are those of a machine of its own: nobody sees them outside of these namespaces.
    unshare --mount --uts --propagation private bash -euo pipefail -c '
        root=$1 name=$2 directory=$3 home=$4 crates=$5 uid=$6 toolchain=$7 mask=$8 files=$9 sysroot=${10}
        shift 10
        hostname "$name"
        mount -t tmpfs none /mnt
        mkdir -p "$directory" "$home" "$toolchain"
        case $files in
            disk) mount --bind "$root/source" "$directory" ;;
            # Lists the files of a directory in another order.
            memory)
                mount -t tmpfs -o mode=0700,uid="$uid",gid="$uid" none "$directory"
                (cd "$root/source" && find . -mindepth 1 -path ./target -prune -o -print0 | LC_ALL=C sort -rz |
                    tar -c --no-recursion --null -T -) | tar -x -C "$directory"
                mkdir "$directory/target"
                mount --bind "$root/source/target" "$directory/target"
                ;;
        esac
        mount --bind "$root/home" "$home"
        mkdir -p "$crates"
        mount --bind "$root/crates" "$crates"
        mount --bind "$sysroot" "$toolchain"
        cd "$directory"
        umask "$mask"
        exec setpriv --reuid "$uid" --regid "$uid" --clear-groups \
            env -i HOME="$home" CARGO_HOME="$crates" USER="builder$uid" LOGNAME="builder$uid" \
            PATH="$crates/bin:$toolchain/bin:/usr/bin:/bin" CARGO_NET_OFFLINE=true "$@"
    ' build "$root" "$name" "$directory" "$home" "$crates" "$uid" "$toolchain" "$mask" "$files" "$sysroot" \
        "${quick[@]}" "$@" .ci/package "${options[@]}"
}

build 1 anna-desk /mnt/a /mnt/home/anna /mnt/home/anna/.cargo 70001 /mnt/rust 022 disk \
    LANG=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH="$epoch"
build 2 builder-two.example "/mnt/build/some where/else/sparkdiode" "/mnt/users/b/bert o" "/mnt/all crates" 70002 \
    /mnt/opt/toolchains/rust 077 memory \
    LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 LOCPATH="/mnt/users/b/bert o/languages" TZ=Asia/Tokyo \
    TMPDIR="/mnt/users/b/bert o/tmp" CFLAGS="-g3 -O1" RUSTFLAGS="-C debuginfo=2" CARGO_BUILD_JOBS=3 \
    faketime -m -f +500d

echo "== compared"
compare() { # PATH: below the sources of both.
    tests/package/compare.sh "$work"/1/source/target/$1 "$work"/2/source/target/$1 ||
        fail "FAILED: they aren't the same, bit for bit; both stay in $work"
}
compare dist/sparkdiode
if [ ${#options[@]} -eq 0 ]; then
    package=$(basename "$work"/1/source/target/debian/*.deb)
    compare "debian/$package"
    # What is published beside it, too.
    compare debian/SHA256SUMS
fi
rm -rf "$work"
echo "the same, bit for bit"
