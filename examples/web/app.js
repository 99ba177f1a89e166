// From a song or the microphone to genres over time; the model does everything in between.

import { lines } from "./labels.mjs";
import { verify } from "./probes.mjs";

const $ = (id) => document.getElementById(id);
const PIECE = 8; // patches handed to the model at once
const LISTENED = 3; // seconds of the microphone that one verdict is about
const STEP = 0.5; // seconds from one verdict to the next
const KEPT = 240; // verdicts that are shown

// ---- The model

// onnxruntime-web does not show a model's metadata; the files beside it say the same.
const [labels, frontEnd, trust] = await Promise.all([
  fetch("model/labels.txt").then((file) => file.text()).then(lines),
  fetch("model/preprocessor.json").then((file) => file.json()),
  fetch("model/trust.json").then((file) => file.json()),
]).catch(() => say("The folder model/ is not complete: see the README."));
const RATE = frontEnd.sample_rate;
const HOP = frontEnd.patch_hop * frontEnd.hop;
const PATCH = (frontEnd.patch_frames - 1) * frontEnd.hop + (frontEnd.centred ? 0 : frontEnd.window);

const worker = new Worker("worker.js", { type: "module" });
const answer = () => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.patches));
  worker.onerror = () => reject(new Error("the worker did not start"));
});

/** The probabilities of each patch of the samples: an array of one array a patch. */
function run(samples) {
  const answered = lastRun.then(() => {
    worker.postMessage(samples);
    return answer();
  });
  lastRun = answered.catch(() => {});
  return answered.then(({ values, genres }) => {
    if (genres !== labels.length)
      throw new Error(`labels.txt has ${labels.length} labels, the model ${genres}: not of one export`);
    return Array.from({ length: values.length / genres }, (_, i) => values.slice(i * genres, (i + 1) * genres));
  });
}

let lastRun = answer().then(() => {
  $("file").disabled = $("microphone").disabled = false;
  say("Ready.");
  // Not waited for: it runs the model, which waits for this.
  if (location.search === "?verify") verifyItself().catch((error) => say(error.message));
});
lastRun.catch((error) => say(`The model could not be loaded: ${error.message}`));

/** Takes the model's probes the way of a song, from a file on: the page with `?verify`. */
async function verifyItself() {
  const probes = await fetch("model/probes.json").then((file) => file.json());
  const { right, text } = await verify(probes, async (pcm, channels, rate) => {
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await wav(pcm, 1, channels, rate));
    return calibrated(await run(mono(audio)));
  });
  say(`Verified: ${right ? "right" : "wrong"}; ${text.join(", ")}`);
}

// ---- A song

/** What is being heard; whoever finds another value here has been replaced and stops. */
let current;

async function hear(file) {
  try {
    await classify(file);
  } catch (error) {
    say(`${file.name}: ${error.message}`);
  }
}

async function classify(file) {
  const mine = (current = {});
  await stopListening();
  $("result").hidden = true;
  say(`${file.name}: decoding …`);
  let samples;
  try {
    // Decoding resamples to the rate of the context, which is the model's.
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    samples = mono(audio);
  } catch {
    return say(`${file.name}: this browser cannot decode it as audio.`);
  }
  if (current !== mine) return;
  play(file);

  // In pieces, so that memory stays small and the timeline appears as it is made. They overlap
  // as patches do, so that together they have the patches of the whole.
  const count = Math.max(1, Math.floor((samples.length - PATCH) / HOP) + 1);
  const patches = [];
  for (let first = 0; first < count; first += PIECE) {
    const last = Math.min(first + PIECE, count) - 1;
    const piece = await run(samples.slice(first * HOP, last * HOP + PATCH));
    if (current !== mine) return;
    patches.push(...piece.slice(0, last - first + 1));
    say(`${file.name}: ${Math.round((100 * patches.length) / count)} % heard`);
    draw(patches, calibrated(patches), HOP / RATE, 0);
  }
  $("genres").append(...rows.toSorted((a, b) => b.value - a.value).map((row) => row.element));
  const best = top(calibrated(patches));
  say(`${file.name}: ${labels[best]}, ${percent(calibrated(patches)[best])}`);
}

function mono(audio) {
  const samples = audio.getChannelData(0).slice();
  for (let channel = 1; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((sample, i) => (samples[i] += sample));
  }
  return samples.map((sample) => sample / audio.numberOfChannels);
}

function play(file) {
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  player.hidden = false;
}

// ---- The microphone

let microphone;

async function listen() {
  const mine = (current = {});
  player.pause();
  player.hidden = true;
  $("result").hidden = true;
  $("genres").append(...rows.map((row) => row.element)); // not as the last song sorted them
  try {
    // Their own echo and noise filters would spoil music.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    microphone = { stream, context: new AudioContext() };
  } catch (error) {
    return say(`The microphone cannot be used: ${error.message}`);
  }
  if (current !== mine) return stopListening();
  const { stream, context } = microphone;
  $("microphone").setAttribute("aria-pressed", true);
  $("microphone").textContent = "Stop listening";
  say("Listening …");

  await context.audioWorklet.addModule("microphone.js");
  const worklet = new AudioWorkletNode(context, "microphone");
  context.createMediaStreamSource(stream).connect(worklet);
  const heard = new Float32Array(LISTENED * context.sampleRate);
  let total = 0;
  worklet.port.onmessage = ({ data }) => {
    heard.copyWithin(0, data.length);
    heard.set(data, heard.length - data.length);
    total += data.length;
  };

  let verdicts = [];
  let steps = 0; // shown so far, also those that are no longer
  while (current === mine) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * STEP));
    if (total < heard.length) continue;
    const due = Math.floor(total / context.sampleRate / STEP);
    const verdict = calibrated(await run(await resampled(heard, context.sampleRate)));
    if (current !== mine) break;
    // A slow machine's verdict stands for all the steps that it took.
    verdicts = verdicts.concat(Array(due - steps).fill(verdict)).slice(-KEPT);
    steps = due;
    draw(verdicts, verdict, STEP, (steps - verdicts.length) * STEP);
    say(`Microphone: ${labels[top(verdict)]}`);
  }
}

/** Back to files; what the microphone's timeline shows stays. */
async function stopListening() {
  if (!microphone) return;
  microphone.stream.getTracks().forEach((track) => track.stop());
  await microphone.context.close();
  microphone = undefined;
  $("microphone").setAttribute("aria-pressed", false);
  $("microphone").textContent = "Use the microphone";
}

/** The samples at the model's rate. Played into a slower context they would alias; decoded, as a
 * song is, they do not: so this makes a wav of them first. */
async function resampled(samples, rate) {
  return mono(await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await wav(samples, 3, 1, rate)));
}

/** The bytes of a wav: integers (kind 1) or floats (3). */
function wav(samples, kind, channels, rate) {
  const bytes = samples.BYTES_PER_ELEMENT;
  const head = new DataView(new ArrayBuffer(44));
  const names = [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]];
  names.forEach(([at, name]) => [...name].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0))));
  const size = bytes * samples.length;
  const numbers = [[4, size + 36], [16, 16], [24, rate], [28, bytes * channels * rate], [40, size]];
  numbers.forEach(([at, number]) => head.setUint32(at, number, true));
  const format = [[20, kind], [22, channels], [32, bytes * channels], [34, 8 * bytes]];
  format.forEach(([at, number]) => head.setUint16(at, number, true));
  return new Blob([head, samples]).arrayBuffer();
}

// ---- What is shown

const player = $("player");
const percent = (value) => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)} %`;
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const top = (probabilities) => probabilities.indexOf(Math.max(...probabilities));
const mean = (all) => all[0].map((_, i) => all.reduce((sum, one) => sum + one[i], 0) / all.length);
/** The answer of a recording: the mean over its patches that the file means, at the temperature that calibrates it. */
const calibrated = (patches) => {
  const geometric = trust.average === "geometric";
  const logs = geometric
    ? mean(patches.map((patch) => Array.from(patch, (p) => Math.log(p + 1e-9))))
    : mean(patches).map((p) => Math.log(p + 1e-30));
  const most = Math.max(...logs);
  const powers = logs.map((log) => Math.exp((log - most) / trust.temperature));
  const sum = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / sum);
};

function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

const rows = labels.map((label) => {
  const element = $("genres").insertRow();
  element.innerHTML = `<th scope="row"></th><td><data></data></td><td><svg role="img" preserveAspectRatio="none">
    <path></path><line y2="1"></line></svg></td>`;
  element.querySelector("th").textContent = label;
  const [data, svg, path, line] = ["data", "svg", "path", "line"].map((tag) => element.querySelector(tag));
  svg.onclick = ({ offsetX }) => {
    if (player.duration) player.currentTime = (offsetX / svg.clientWidth) * svg.viewBox.baseVal.width * (HOP / RATE);
  };
  return { label, element, data, svg, path, line, value: 0 };
});

/** Shows `timeline`, one array of probabilities every `step` seconds from `start` on, and beside it `overall`. */
function draw(timeline, overall, step, start) {
  const best = top(overall);
  rows.forEach((row, i) => {
    row.value = overall[i];
    row.data.value = overall[i];
    row.data.textContent = percent(overall[i]);
    row.element.className = i === best ? "top" : "";
    const steps = timeline.map((probabilities, x) => `V${1 - probabilities[i]}H${x + 1}`);
    row.path.setAttribute("d", `M0 1${steps.join("")}V1Z`);
    row.svg.setAttribute("viewBox", `0 0 ${timeline.length} 1`);
    const high = top(timeline.map((probabilities) => probabilities[i]));
    row.svg.setAttribute("aria-label",
      `${row.label} over time: highest at ${clock(start + high * step)} with ${percent(timeline[high][i])}`);
  });
  $("start").textContent = clock(start);
  $("end").textContent = clock(start + timeline.length * step);
  $("text").replaceChildren(...stretches(timeline).map(({ from, to, genre }) => {
    const item = document.createElement("li");
    const share = mean(timeline.slice(from, to))[genre];
    item.textContent = `${clock(start + from * step)}–${clock(start + to * step)} ${labels[genre]}, ${percent(share)}`;
    return item;
  }));
  $("result").hidden = false;
}

/** Where which genre is ahead: stretches of the timeline from one patch to another. */
function stretches(timeline) {
  return timeline.map(top).reduce((found, genre, i) => {
    if (found.at(-1)?.genre === genre) found.at(-1).to = i + 1;
    else found.push({ from: i, to: i + 1, genre });
    return found;
  }, []);
}

player.ontimeupdate = () => {
  for (const { svg, line } of rows) {
    const x = Math.min(player.currentTime / (HOP / RATE), svg.viewBox.baseVal.width);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  }
};

// ---- What a person does

$("file").onchange = ({ target }) => target.files[0] && hear(target.files[0]);
$("microphone").onclick = () => {
  if (!microphone) return listen();
  current = undefined;
  return stopListening().then(() => say("Stopped listening."));
};
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = (event) => event.relatedTarget || document.body.classList.remove("dropping");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file && !$("file").disabled) hear(file);
};
