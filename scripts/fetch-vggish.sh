#!/usr/bin/env bash
# Downloads the public VGGish backbone; see --help.
set -euo pipefail

url=${VGGISH_URL:-https://essentia.upf.edu/models/feature-extractors/vggish/audioset-vggish-3.onnx}
sha256=${VGGISH_SHA256:-b0b7db5247b20b8db66aae82bdfb4a298d38a34df200dd19b2de355227c8dd49}
size=${VGGISH_SIZE:-288570178}
default=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)/models/vggish.onnx

usage() {
    cat <<END
Usage: fetch-vggish.sh [FILE]

Downloads the VGGish ONNX file that Essentia publishes (289 MB) to FILE, by default
  $default
and checks its size and SHA-256. What arrived of an interrupted download stays in
FILE.part, and the next call goes on from there; FILE itself is whole or absent.
Does nothing if the right file is there already.

Licence of the file: CC BY-NC-SA 4.0 (no commercial use).

Environment: VGGISH_URL, VGGISH_SHA256, VGGISH_SIZE (bytes) to fetch another copy.
END
}

die() {
    echo "fetch-vggish: $*" >&2
    exit 1
}

bytes_of() {
    wc -c <"$1" | tr -d ' '
}

# What is wrong with a file; nothing if it is the right one.
fault_of() {
    local digest
    if [ "$(bytes_of "$1")" != "$size" ]; then
        echo "it has $(bytes_of "$1") bytes, not $size"
        return
    fi
    # macOS has shasum only.
    digest=$(sha256sum <"$1" 2>/dev/null || shasum -a 256 <"$1") || digest=unknown
    if [ "${digest%% *}" != "$sha256" ]; then
        echo "its SHA-256 is ${digest%% *}, not $sha256"
    fi
}

case ${1-} in
    -h | --help)
        usage
        exit
        ;;
    -*)
        usage >&2
        exit 2
        ;;
esac
[ $# -le 1 ] || { usage >&2; exit 2; }

file=${1:-$default}
part=$file.part

if [ -e "$file" ]; then
    fault=$(fault_of "$file")
    [ -z "$fault" ] || die "$file is another file ($fault); move it away and try again"
    echo "$file is there already, and it is the right one."
    exit
fi

echo "VGGish as published by Essentia (Music Technology Group, Universitat Pompeu Fabra)"
echo "is licensed under CC BY-NC-SA 4.0: attribution, no commercial use, share alike."
mkdir -p -- "$(dirname -- "$file")"

have=0
[ ! -e "$part" ] || have=$(bytes_of "$part")
if [ "$have" -gt "$size" ]; then
    rm -f -- "$part"
    have=0
fi
if [ "$have" -lt "$size" ]; then
    status=0
    curl --fail --location --show-error --retry 3 --continue-at - --output "$part" -- "$url" || status=$?
    # 33: the server cannot go on where we stopped, so what we have is of no use.
    [ "$status" != 33 ] || rm -f -- "$part"
    [ "$status" = 0 ] || die "the download stopped (curl: $status); run this again to go on"
fi

fault=$(fault_of "$part")
if [ -n "$fault" ]; then
    rm -f -- "$part"
    die "what $url holds is not the expected file: $fault"
fi
mv -f -- "$part" "$file"
echo "$file is complete and has the expected SHA-256."
