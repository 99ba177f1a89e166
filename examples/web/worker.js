// Runs the model away from the page, which stays responsive.
import { env, InferenceSession, Tensor } from "./ort/ort.wasm.bundle.min.mjs";

env.wasm.numThreads = 1; // more need a server that sends cross-origin isolation headers

const session = InferenceSession.create("model/genres.onnx");
session.then(() => postMessage("ready"), (error) => postMessage({ error: error.message }));

/** Answers samples with the genres' probabilities in each of their patches, patch after patch. */
onmessage = async ({ data: samples }) => {
  try {
    const waveform = new Tensor("float32", samples, [1, samples.length]);
    const { patch_probabilities: patches } = await (await session).run({ waveform }, ["patch_probabilities"]);
    postMessage({ patches: { values: patches.data, genres: patches.dims.at(-1) } });
  } catch (error) {
    postMessage({ error: error.message });
  }
};
