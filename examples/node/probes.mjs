// The probes of a model, by which a host tests itself: docs/verify.md. For Node and browsers.

const triangle = (phase) => Math.abs((phase >>> 16) - 32768) - 16384;

/** The 16-bit samples of a probe, those of a frame together. */
export function recipe({ channels, frames, seed, noise, note, steps, high }) {
  const pcm = new Int16Array(frames * channels);
  const phase = [[0, 0, 0], [0, 0, 0]];
  const highPhase = [0, 0];
  let state = seed;
  for (let i = 0; i < frames; i++) {
    const level = Math.floor(((note - (i % note)) * 256) / note);
    for (let c = 0; c < channels; c++) {
      let value = 0;
      for (let v = 0; v < 3; v++) {
        phase[c][v] = (phase[c][v] + steps[(Math.floor(i / note) + 2 * v + 3 * c) % steps.length]) >>> 0;
        value += triangle(phase[c][v]);
      }
      value = (value * level) >> (9 + c);
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      value += (((state >>> 16) - 32768) * level) >> (noise - 2 * c);
      highPhase[c] = (highPhase[c] + high) >>> 0;
      pcm[i * channels + c] = value + (high ? triangle(highPhase[c]) >> 2 : 0);
    }
  }
  return pcm;
}

/** Whether `answer(pcm, channels, rate)`, the host's own way to probabilities, is right: an object
 * with `right` and lines of `text`. It throws for recordings that the host does not take. */
export async function verify(probes, answer) {
  const far = probes.mistakes.map(() => 0);
  const text = [];
  let off = 0;
  for (const [k, probe] of probes.probes.entries()) {
    let given;
    try {
      given = await answer(recipe(probe), probe.channels, probe.sample_rate);
    } catch (reason) {
      text.push(`${probe.name}: not tested: ${reason.message}`);
      continue;
    }
    if (given.length !== probe.probabilities.length) throw new Error("the probes are those of another model");
    // In tolerances, from the right answer and from that of each mistake.
    const distance = (right) => Math.max(...right.map((p, i) => Math.abs(given[i] - p))) / probe.tolerance;
    const wrong = distance(probe.probabilities);
    text.push(`${probe.name}: ${wrong <= 1 ? "right" : "wrong"}`);
    off = Math.max(off, wrong); // NaN stays
    probes.mistakes.forEach(({ answers }, m) => {
      far[m] = Math.max(far[m], distance(answers[k] ?? probe.probabilities));
    });
  }
  const nearest = far.indexOf(Math.min(...far));
  const known = far[nearest] < off / 3;
  if (!(off <= 1)) text.push(`the mistake is ${known ? probes.mistakes[nearest].name : "none of those known"}`);
  return { right: off <= 1, text };
}
