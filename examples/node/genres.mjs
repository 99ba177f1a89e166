// Prints the genres of a wav: node genres.mjs MODEL.onnx CLIP.wav
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";

const RATE = 16000;

/** The samples of a 16-bit mono wav, -1 to 1. */
function readWav(file) {
  const wav = readFileSync(file);
  let at = 12; // behind "RIFF", size, "WAVE": chunks of name, size, content
  while (wav.toString("latin1", at, at + 4) !== "data") {
    const ok = wav.readUInt16LE(22) === 1 && wav.readUInt32LE(24) === RATE && wav.readUInt16LE(34) === 16;
    if (!ok) throw new Error(`${file}: must be mono, 16 bit and ${RATE} Hz`);
    at += 8 + wav.readUInt32LE(at + 4);
  }
  const samples = new Float32Array(wav.readUInt32LE(at + 4) / 2);
  return samples.map((_, i) => wav.readInt16LE(at + 8 + 2 * i) / 32768);
}

const [model, clip] = process.argv.slice(2);
const session = await InferenceSession.create(model);
// onnxruntime-node does not show a model's metadata; labels.txt holds the same names.
const labels = readFileSync(join(dirname(model), "labels.txt"), "utf8").trim().split("\n");

const samples = readWav(clip);
const waveform = new Tensor("float32", samples, [1, samples.length]);
const { probabilities } = await session.run({ waveform }, ["probabilities"]);
labels.forEach((label, i) => console.log(`${label}\t${probabilities.data[i].toFixed(6)}`));
