// Prints the genres of a wav: node genres.mjs MODEL.onnx CLIP.wav
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** The samples of a 16-bit mono wav, -1 to 1. */
function readWav(file, rate) {
  const wav = readFileSync(file);
  let at = 12; // behind "RIFF", size, "WAVE": chunks of name, size, content
  while (wav.toString("latin1", at, at + 4) !== "data") {
    const ok = wav.readUInt16LE(22) === 1 && wav.readUInt32LE(24) === rate && wav.readUInt16LE(34) === 16;
    if (!ok) throw new Error(`${file}: must be mono, 16 bit and ${rate} Hz`);
    const size = wav.readUInt32LE(at + 4);
    at += 8 + size + (size % 2); // padded to an even size
  }
  const samples = new Float32Array(wav.readUInt32LE(at + 4) / 2);
  return samples.map((_, i) => wav.readInt16LE(at + 8 + 2 * i) / 32768);
}

const [model, clip] = process.argv.slice(2);
const session = await InferenceSession.create(model);
// onnxruntime-node does not show a model's metadata; these files beside it hold the same.
const beside = (name) => readFileSync(join(dirname(model), name), "utf8");
const labels = beside("labels.txt").replace(/\n$/, "").split("\n");

const samples = readWav(clip, JSON.parse(beside("preprocessor.json")).sample_rate);
const waveform = new Tensor("float32", samples, [1, samples.length]);
const { probabilities } = await session.run({ waveform }, ["probabilities"]);
if (labels.length !== probabilities.data.length)
  throw new Error(`labels.txt has ${labels.length} labels, the model ${probabilities.data.length}: not of one export`);
labels.forEach((label, i) => console.log(`${label}\t${probabilities.data[i].toFixed(6)}`));
