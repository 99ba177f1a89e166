// Shows the page to headless Chromium: node test.mjs CLIP.wav... prints what it says of each, as
// JSON; with SCREENSHOTS=FOLDER also takes pictures.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, extname, join, normalize, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";

const root = join(import.meta.dirname, "dist");
const types = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
let otherLabels; // handed out in place of model/labels.txt
const server = createServer(({ url }, response) => {
  const path = normalize(new URL(url, "http://page").pathname);
  try {
    const file = join(root, path === "/" ? "index.html" : path);
    const body = path === "/model/labels.txt" && otherLabels ? otherLabels : readFileSync(file);
    response.writeHead(200, { "Content-Type": types[extname(path)] ?? (path === "/" ? "text/html" : "application/octet-stream") }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const address = `http://127.0.0.1:${server.address().port}/`;

const clips = process.argv.slice(2).map((clip) => resolve(clip));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${clips[0]}`,
  ],
});
const page = await browser.newPage();
const faults = [];
page.on("pageerror", (error) => faults.push(error.message));
page.on("console", (message) => ["error", "warn"].includes(message.type()) && faults.push(message.text()));
page.on("request", (request) => {
  if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(address)) faults.push(`asks for ${request.url()}`);
});

const status = () => page.$eval("#status", (element) => element.textContent);
const says = async (pattern) => {
  for (let wait = 0; !new RegExp(pattern).test(await status()); wait++) {
    assert(wait < 600, `the page says "${await status()}", not ${pattern}; ${faults.join("; ")}`);
    await sleep(200);
  }
};
const shown = () =>
  page.$$eval("#genres tr", (rows) => Object.fromEntries(rows.map((row) =>
    [row.querySelector("th").textContent, Number(row.querySelector("data").value)])));
const picture = async (name) => {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
};
const look = async (name) => {
  for (const [width, scheme] of [[1000, "light"], [1000, "dark"], [360, "light"], [360, "dark"]]) {
    await page.setViewport({ width, height: 760, deviceScaleFactor: width === 360 ? 2 : 1 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert(overflow <= 0, `${name} is ${overflow} pixels too wide at ${width}`);
    await picture(`${name}-${width}-${scheme}`);
  }
};

try {
  await page.goto(address);
  await says("^Ready");
  await look("ready");

  // With the keyboard alone: the file first, then the microphone.
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "file");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "microphone");

  const results = {};
  for (const [i, clip] of clips.entries()) {
    const name = basename(clip);
    if (i % 2) {
      await (await page.$("#file")).uploadFile(clip);
    } else {
      await page.evaluate((name, base64) => {
        const bytes = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], name));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
      }, name, readFileSync(clip).toString("base64"));
    }
    await says(`^${name}: .*, [0-9.]+ %$`);
    results[name] = await shown();
    if (i === 0) {
      await page.$eval("details", (details) => (details.open = true));
      await look("song");
    }
  }

  // Every row says in words what its picture shows, and the text has the whole timeline.
  assert((await page.$$eval("svg", (all) => all.map((svg) => svg.ariaLabel))).every((label) => /highest at \d+:\d\d/.test(label)));
  assert(await page.$$eval("#text li", (items) => items.length > 0));

  await (await page.$("#file")).uploadFile(import.meta.filename);
  await says("^test.mjs: this browser cannot decode it as audio");

  await page.focus("#microphone");
  await page.keyboard.press("Enter");
  await says("^Microphone: ");
  await sleep(3000);
  await look("microphone");
  const sum = Object.values(await shown()).reduce((sum, value) => sum + value);
  assert(Math.abs(sum - 1) < 1e-3, `the microphone's probabilities sum to ${sum}`);
  await page.keyboard.press("Enter");
  await says("^Stopped");

  // Its own way from a file to probabilities is right; what a wrong list of labels is, it says.
  await page.goto(`${address}?verify`);
  // Chromium's resampler is one with a short filter, as examples/README.md says.
  await says("^Verified: (right|wrong); long: right, short: right, stereo: (right|wrong, the mistake is short-filter)$");
  // By the server: with puppeteer's interception a worker's requests now and then never end.
  otherLabels = "one\r\ntwo\r\n";
  await page.goto(address);
  await says("^Ready");
  await (await page.$("#file")).uploadFile(clips[0]);
  await says("labels.txt has 2 labels, the model \\d+: not of one export");
  otherLabels = `${Object.keys(results[basename(clips[0])]).sort().join("\r\n")}\r\n`;
  await page.goto(address);
  await says("^Ready");
  await (await page.$("#file")).uploadFile(clips[0]);
  await says(", [0-9.]+ %$");
  assert(Object.keys(await shown()).every((label) => label in results[basename(clips[0])]));

  assert.deepEqual(faults, []);
  console.log(JSON.stringify(results));
} finally {
  await browser.close();
  server.close();
}
