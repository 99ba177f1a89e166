// Prints the genres of a wav: node genres.mjs MODEL.onnx CLIP.wav
// Tests itself by the model's probes: node genres.mjs --verify MODEL.onnx
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { readLabels } from "./labels.mjs";
import { verify } from "./probes.mjs";

/** The 16-bit samples of a wav, its channels and rate. */
function readWav(file) {
  const wav = readFileSync(file);
  let at = 12; // behind "RIFF", size, "WAVE": chunks of name, size, content
  while (wav.toString("latin1", at, at + 4) !== "data") {
    if (wav.readUInt16LE(34) !== 16) throw new Error(`${file}: must be of 16 bits`);
    const size = wav.readUInt32LE(at + 4);
    at += 8 + size + (size % 2); // padded to an even size
  }
  const pcm = new Int16Array(wav.readUInt32LE(at + 4) / 2);
  return { pcm: pcm.map((_, i) => wav.readInt16LE(at + 8 + 2 * i)), channels: wav.readUInt16LE(22), rate: wav.readUInt32LE(24) };
}

/** The probabilities of 16-bit samples. */
async function classify(pcm, channels, rate) {
  const wanted = JSON.parse(beside("preprocessor.json")).sample_rate;
  if (channels !== 1 || rate !== wanted) throw new Error(`must be mono, 16 bit and ${wanted} Hz`);
  const samples = Float32Array.from(pcm, (sample) => sample / 32768);
  const waveform = new Tensor("float32", samples, [1, samples.length]);
  return (await session.run({ waveform }, ["probabilities"])).probabilities.data;
}

const verifies = process.argv[2] === "--verify";
const [model, clip] = process.argv.slice(verifies ? 3 : 2);
const session = await InferenceSession.create(model);
// onnxruntime-node does not show a model's metadata; these files beside it hold the same.
const beside = (name) => readFileSync(join(dirname(model), name), "utf8");

if (verifies) {
  const { right, text } = await verify(JSON.parse(beside("probes/probes.json")), classify);
  console.log(text.join("\n"));
  process.exitCode = right ? 0 : 1;
} else {
  const { pcm, channels, rate } = readWav(clip);
  const probabilities = await classify(pcm, channels, rate);
  const labels = readLabels(beside("labels.txt"), probabilities.length);
  labels.forEach((label, i) => console.log(`${label}\t${probabilities[i].toFixed(6)}`));
}
