#!/usr/bin/env bash
# What a release holds: classify as one static file, the networks beside it, licences, checksums.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/release.sh

Builds classify statically (scripts/static-classify.sh), puts it into an archive with YAMNet and
musicnn, all licences, the list of crates in it with versions and licences, and SHA-256 sums, and
tries the archive: unpacked into an empty folder, with no other file in reach where chroot may be
used, it must tag a song.

Writes target/dist/genre-transfer-VERSION-TARGET.tar.gz and its .sha256.

Example:
  scripts/release.sh && tar -xf target/dist/genre-transfer-*.tar.gz -C /tmp
TEXT
}

case "${1:-}" in
    "") ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
target=$(uname -m)-unknown-linux-musl
name=genre-transfer-$version-$target
scripts/static-classify.sh

output=target/dist
folder=$output/$name
rm -rf "$folder"
mkdir -p "$folder/models" "$folder/licences"
cp "target/$target/dist/classify" "$folder/"
cp models/yamnet.onnx models/musicnn_msd_vgg.onnx models/LICENSE-*.txt models/README.md "$folder/models/"
cp LICENSE-MIT LICENSE-APACHE "$folder/licences/"
cp docs/classify.md CHANGELOG.md "$folder/"
# Every crate that is linked in, with its licence.
cargo tree --locked --no-default-features --features tract --target "$target" --edges normal \
    --prefix none --no-dedupe --format '{p} {l}' | sed 's/ (\/[^)]*)//; s/ (proc-macro)//' |
    LC_ALL=C sort -u > "$folder/licences/crates.txt"
cat > "$folder/README.txt" <<TEXT
genre-transfer $version: classify, for any Linux on $(uname -m).

  ./classify song.mp3                    YAMNet's own genres
  ./classify ~/music --output tags.csv
  ./classify song.mp3 --model musicnn
  ./classify song.mp3 --model genres.onnx    a model of your own, which export-onnx has written
  ./classify --help

MIT or Apache-2.0 (licences/); the networks in models/ keep their own licences.
TEXT
(cd "$folder" && find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS)
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
    -C "$output" -czf "$output/$name.tar.gz" "$name"
(cd "$output" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")

# Tried as a stranger would, with nothing else at hand.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
tar -xf "$output/$name.tar.gz" -C "$trial"
place=$trial/$name
(cd "$place" && sha256sum --quiet -c SHA256SUMS)
cp examples/clips/a.wav "$place/"
if chroot "$place" /classify --version > /dev/null 2>&1; then
    said=$(env -i "$(command -v chroot)" "$place" /classify /a.wav --json)
    how="with no other file in reach"
else
    said=$(cd "$place" && env -i ./classify a.wav --json)
    how="without an environment (chroot may not be used here)"
fi
grep -q '"Jazz"' <<< "$said" || {
    echo "release.sh: the archive's classify tells no genres: $said" >&2
    exit 1
}
rm -rf "$folder"
echo "tried $how: it tags a song"
ls -l "$output/$name.tar.gz"
