#!/usr/bin/env bash
# Puts the official ONNX Runtime shared library where the `ort` runtime looks for it, and typst, which
# sets the report's PDF, where `report` looks for it.
set -euo pipefail

version=1.32.0
npm_version=1.30.0 # onnxruntime-node has no 1.32.0
typst_version=0.15.2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=$root/.onnxruntime
typst=$root/.typst

usage() {
    cat <<TEXT
Usage: scripts/setup.sh [--help]

Downloads ONNX Runtime (the shared library inside the official PyPI wheel of
$version, or else inside the npm package onnxruntime-node $npm_version) and places
it in $target, where every program of this crate finds it; and typst
$typst_version (PyPI) in $typst, by which \`report\` makes a PDF.
A second run sees that they are there and does nothing.

Needs python3; and pip, or else npm. Nothing is written outside the repository.
Systems: Linux x86-64 and aarch64, macOS arm64.

To use another ONNX Runtime (for CUDA: the libonnxruntime.so inside the wheel
onnxruntime-gpu, with its provider libraries beside it), leave this script alone
and set ORT_DYLIB_PATH to that file.

Examples:
  scripts/setup.sh
  rm -r .onnxruntime && scripts/setup.sh     # fetch it again
TEXT
}

die() {
    echo "setup.sh: $*" >&2
    exit 1
}

case "${1:-}" in
    "") ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
esac

# The wheel's platform tag, and where onnxruntime-node keeps the same library.
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=manylinux_2_28_x86_64 node=linux/x64 ;;
    Linux-aarch64 | Linux-arm64) platform=manylinux_2_28_aarch64 node=linux/arm64 ;;
    Darwin-arm64) platform=macosx_14_0_arm64 node=darwin/arm64 ;;
    *) die "no official library for $(uname -s) on $(uname -m); set ORT_DYLIB_PATH to one you built" ;;
esac

# Without it there is a report all the same, as a page and as Markdown.
fetch_typst() {
    [[ $(cat "$typst/VERSION" 2>/dev/null) != "$typst_version" ]] || return 0
    local stage
    stage=$(mktemp -d "$root/.typst.XXXXXX")
    if python3 -m pip --disable-pip-version-check download --quiet --no-deps --no-cache-dir \
        --only-binary=:all: --dest "$stage" "typst==$typst_version" &&
        mkdir "$stage/module" && python3 -m zipfile -e "$stage"/*.whl "$stage/module"; then
        echo "$typst_version" > "$stage/module/VERSION"
        rm -rf "$typst"
        mv "$stage/module" "$typst"
        echo "typst $typst_version is in $typst."
    else
        echo "setup.sh: could not fetch typst; report will write no PDF" >&2
    fi
    rm -rf "$stage"
}

placed=$(cat "$target/VERSION" 2>/dev/null || true)
if [[ $placed == "$version" || $placed == "$npm_version" ]] && ls "$target"/libonnxruntime.* >/dev/null 2>&1; then
    echo "ONNX Runtime $placed is already in $target; nothing to do."
    fetch_typst
    exit 0
fi

command -v python3 >/dev/null || die "python3 not found; it is needed to fetch and unpack the library"

# Everything is prepared beside the target and moved there in one step, so that
# an interrupted run leaves nothing behind.
stage=$(mktemp -d "$root/.onnxruntime.XXXXXX")
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/download" "$stage/lib"

from_pypi() {
    python3 -m pip --disable-pip-version-check download --quiet --no-deps --no-cache-dir \
        --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 \
        --platform "$platform" --dest "$stage/download" "onnxruntime==$version"
}

from_npm() {
    command -v npm >/dev/null || die "pip could not fetch ONNX Runtime, and npm is not installed"
    (cd "$stage/download" && npm pack --silent --cache "$stage/npm-cache" "onnxruntime-node@$npm_version" >/dev/null)
}

echo "Fetching ONNX Runtime $version for $platform ..."
fetched=$version
if ! from_pypi; then
    echo "PyPI did not work; fetching $npm_version from npm ..." >&2
    fetched=$npm_version
    from_npm || die "could not fetch ONNX Runtime; are PyPI or npm reachable?"
fi

# Unpack the one library and its licence texts, and check that the library is one.
python3 - "$stage/download" "$stage/lib" "$node" "$fetched" <<'PYTHON' || die "the download holds no usable library"
import ctypes, os, pathlib, re, sys, tarfile, zipfile

download, lib, node, version = sys.argv[1:]
archive = next(p for p in sorted(pathlib.Path(download).iterdir()) if p.suffix in (".whl", ".tgz"))
if archive.suffix == ".whl":
    with zipfile.ZipFile(archive) as z:
        files = {n: z.read(n) for n in z.namelist() if re.search(r"capi/libonnxruntime\.|/LICENSE$|ThirdParty", n)}
else:
    with tarfile.open(archive) as t:
        files = {m.name: t.extractfile(m).read() for m in t if m.isfile() and
                 (f"/{node}/libonnxruntime." in m.name or re.search(r"/LICENSE$|ThirdParty", m.name))}

libraries = {os.path.basename(n): data for n, data in files.items() if "libonnxruntime." in n}
if not libraries:
    sys.exit(f"{archive.name}: no libonnxruntime inside")
name, data = sorted(libraries.items())[0]
if data[:4] not in (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
    sys.exit(f"{archive.name}: {name} is not a shared library")

for inner, text in files.items():
    if "libonnxruntime." not in inner:
        pathlib.Path(lib, os.path.basename(inner)).write_bytes(text)
path = pathlib.Path(lib, name)
path.write_bytes(data)


class ApiBase(ctypes.Structure):  # OrtApiBase of onnxruntime_c_api.h
    _fields_ = [("get_api", ctypes.c_void_p), ("get_version", ctypes.CFUNCTYPE(ctypes.c_char_p))]


base = ctypes.CDLL(str(path)).OrtGetApiBase
base.restype = ctypes.POINTER(ApiBase)
found = base().contents.get_version().decode()
if found != version:
    sys.exit(f"{name} says it is version {found}, not {version}")
pathlib.Path(lib, "VERSION").write_text(version + "\n")
PYTHON

rm -rf "$target"
mv "$stage/lib" "$target"
echo "ONNX Runtime $fetched is in $target."
fetch_typst
