#!/usr/bin/env bash
# Builds the package twice, as on two machines: in directories of different length, as different
# users, with homes, crates and toolchain at different places, another umask, language and time
# zone. Both packages have to be the same, bit for bit.
#
#   tests/package/reproduce.sh [--binary] [--quick] [DIRECTORY]
#
# Of the commit that is checked out, in DIRECTORY (target/reproduce; some 6 GB, removed if all is
# well). Needs root, for the users and for mounts of its own, and what .ci/package needs. Takes
# twice as long as .ci/package. --binary compares the binary alone; with --quick the optimiser does
# little, which shows paths, users and times as well. Crates come from this user's, and from nowhere
# else.
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
work=$(realpath -m "${1:-target/reproduce}")
source=$PWD
sysroot=$(rustc --print sysroot)
registry=${CARGO_HOME:-$HOME/.cargo}/registry
deb=$(command -v cargo-deb)
commit=$(git rev-parse HEAD)
epoch=$(git log -1 --format=%ct "$commit")
rm -rf "$work"
mkdir -p "$work"
# Everybody may pass; what they build is theirs.
chmod 755 "$work"

build() { # NUMBER DIRECTORY HOME UID TOOLCHAIN UMASK LANGUAGE ZONE
    local number=$1 directory=$2 home=$3 uid=$4 toolchain=$5 mask=$6 language=$7 zone=$8
    echo "== build $number: $directory, user $uid, home $home, Rust at $toolchain"
    local root=$work/$number
    mkdir -p "$root/source" "$root/home/.cargo/bin"
    git -C "$source" archive "$commit" | tar -x -C "$root/source"
    mkdir -p "$root/home/.cargo/registry"
    cp -r "$registry/cache" "$registry/index" "$root/home/.cargo/registry/"
    cp "$deb" "$root/home/.cargo/bin/"
    chown -R "$uid:$uid" "$root"
    # The places are those of a machine of its own: nobody sees them outside of this namespace.
    unshare --mount --propagation private bash -euo pipefail -c '
        root=$1 directory=$2 home=$3 uid=$4 toolchain=$5 mask=$6 sysroot=$7
        mount -t tmpfs none /mnt
        mkdir -p "$directory" "$home" "$toolchain"
        mount --bind "$root/source" "$directory"
        mount --bind "$root/home" "$home"
        mount --bind "$sysroot" "$toolchain"
        cd "$directory"
        umask "$mask"
        exec setpriv --reuid "$uid" --regid "$uid" --clear-groups \
            env -i HOME="$home" USER="builder$uid" PATH="$toolchain/bin:$home/.cargo/bin:/usr/bin:/bin" \
            LANG="$8" TZ="$9" SOURCE_DATE_EPOCH="${10}" CARGO_NET_OFFLINE=true "${@:11}"
    ' build "$root" "$directory" "$home" "$uid" "$toolchain" "$mask" "$sysroot" "$language" "$zone" "$epoch" \
        "${quick[@]}" .ci/package "${options[@]}"
}

build 1 /mnt/a /mnt/home/anna 70001 /mnt/rust 022 C.UTF-8 UTC
build 2 /mnt/build/somewhere/else/sparkdiode /mnt/users/b/bert 70002 /mnt/opt/toolchains/rust 077 en_US.UTF-8 Asia/Tokyo

echo "== compared"
sha256sum "$work"/[12]/source/target/dist/sparkdiode
if ! cmp "$work"/[12]/source/target/dist/sparkdiode; then
    echo "FAILED: the binaries aren't the same; they stay in $work" >&2
    exit 1
fi
if [ ${#options[@]} -eq 0 ]; then
    sha256sum "$work"/[12]/source/target/debian/*.deb
    if ! diff "$work"/1/source/target/debian/SHA256SUMS "$work"/2/source/target/debian/SHA256SUMS; then
        for number in 1 2; do
            mkdir -p "$work/$number/unpacked"
            dpkg-deb -R "$work/$number"/source/target/debian/*.deb "$work/$number/unpacked"
        done
        diff -rq "$work/1/unpacked" "$work/2/unpacked" || true
        echo "FAILED: the packages aren't the same; they stay in $work" >&2
        exit 1
    fi
fi
rm -rf "$work"
echo "the same, bit for bit"
