// The labels in a model's labels.txt, one a line. For Node and browsers.

/** The lines of `text`, whichever system wrote it. */
export const lines = (text) => text.replace(/^\ufeff/, "").replace(/\r?\n$/, "").split(/\r?\n/);

/** The labels of `text`; they must be `count`, as many as the model has, or they are another model's. */
export function readLabels(text, count) {
  const labels = lines(text);
  if (labels.length !== count || labels.includes(""))
    throw new Error(`labels.txt has ${labels.length} labels, the model ${count}: not of one export`);
  return labels;
}
