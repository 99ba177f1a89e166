// Label lists of every kind, and the recipe of docs/verify.md: node test.mjs
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readLabels } from "./labels.mjs";
import { recipe } from "./probes.mjs";

for (const text of ["rock\njazz\n", "rock\njazz", "rock\r\njazz\r\n", "rock\r\njazz", "\ufeffrock\njazz\n"])
  assert.deepEqual(readLabels(text, 2), ["rock", "jazz"]);
assert.deepEqual(readLabels('drum "n" bass\\\n\u{1f3b5}é\n', 2), ['drum "n" bass\\', "\u{1f3b5}é"]);
for (const text of ["", "\n", "rock\n", "rock\n\n", "rock\njazz\npop\n", "rock\njazz\n\n"])
  assert.throws(() => readLabels(text, 2), /labels.txt has \d labels, the model 2/);

const steps = [118111601, 132875551, 147639501, 177167401];
const pcm = recipe({ channels: 2, frames: 5000, seed: 1, noise: 13, note: 1333, steps, high: 7 });
const digest = createHash("sha256").update(new Uint8Array(pcm.buffer)).digest("hex");
assert.equal(digest, "618f9c91fc2c48b2aa01465972c4286a4685b47d693a75db6fc9303d72dd4115");
