#!/usr/bin/env bash
# What a release holds: classify as one static file, the networks beside it, licences, checksums.
set -euo pipefail

usage() {
    cat <<TEXT
Usage: scripts/release.sh

Builds classify statically (scripts/static-classify.sh), puts it into an archive with YAMNet and
musicnn, their licences, the list of crates in it with versions, licences and these licences' texts, and
SHA-256 sums, and tries the archive: unpacked into an empty folder, with no other file in reach where chroot may be
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
cp CHANGELOG.md "$folder/"
# Every crate that is linked in, with its licence, and the texts of their licences and notices.
cargo tree --locked --no-default-features --features tract --target "$target" --edges normal \
    --prefix none --no-dedupe --format '{p} {l}' | sed 's/ (\/[^)]*)//; s/ (proc-macro)//' |
    LC_ALL=C sort -u > "$folder/licences/crates.txt"
python3 - "$folder/licences" "$target" <<'PYTHON'
import json, pathlib, re, subprocess, sys

folder, target = pathlib.Path(sys.argv[1]), sys.argv[2]
command = ["cargo", "metadata", "--locked", "--format-version", "1", "--no-default-features",
           "--features", "tract", "--filter-platform", target]
packages = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["packages"]
linked = {tuple(line.split()[:2]) for line in (folder / "crates.txt").read_text().splitlines()}
texts, without = {}, []
for package in packages:
    if (package["name"], "v" + package["version"]) not in linked:
        continue
    name = f"{package['name']} {package['version']}"
    files = sorted(pathlib.Path(package["manifest_path"]).parent.iterdir())
    files = [f for f in files if f.is_file() and re.match(r"(?i)(licen[sc]e|copying|notice|copyright)", f.name)]
    for file in files:
        texts.setdefault(file.read_text(errors="replace").strip(), []).append(name)
    if not files:
        without.append(name)
with open(folder / "texts.txt", "w") as out:
    for text, names in texts.items():
        out.write(", ".join(names) + "\n\n" + text + "\n\n" + "-" * 80 + "\n\n")
    out.write("Crates that bring no text, with their licence in crates.txt: " + ", ".join(without) + "\n")
print(f"{len(linked)} crates, {len(texts)} texts of licences, {len(without)} crates without one")
PYTHON
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
