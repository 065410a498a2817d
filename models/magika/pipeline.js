// The bytes of a file in; `label` (its type) and `score` out. Decides as the Python package does
// in its default mode, high confidence. What differs between the versions is in features.json,
// beside each model.onnx.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TextDecoder } from "node:util";

const features = new Map();

function featuresOf({ versionDirectory }) {
  let found = features.get(versionDirectory);
  if (found === undefined) {
    found = JSON.parse(readFileSync(join(versionDirectory, "features.json"), "utf8"));
    found.textLabels = new Set(found.textLabels);
    features.set(versionDirectory, found);
  }
  return found;
}

/** Bytes from the start, the middle and the end, without the white space around them. */
export function preprocess(body, context) {
  const { inputType, ...config } = featuresOf(context);
  const tokens = [...tokensOf(body, config)];
  const data = inputType === "INT32" ? Int32Array.from(tokens) : Float32Array.from(tokens);
  return { bytes: { datatype: inputType, shape: [1, tokens.length], data } };
}

export function postprocess({ target_label: scores }, body, context) {
  const config = featuresOf(context);
  const { label, score } = withoutModel(body, config) ?? decided(scores.data, config);
  return {
    label: { datatype: "BYTES", shape: [1], data: [label] },
    score: { datatype: "FP32", shape: [1], data: Float32Array.of(score) },
  };
}

/** Files with too few bytes to look at: the model's opinion of them is not asked. */
function withoutModel(body, config) {
  const { minBytes, minTokens, paddingToken, blockSize } = config;
  if (body.length === 0) return { label: "empty", score: 1 };
  const enough = body.length >= minBytes && tokensOf(body, config)[minTokens - 1] !== paddingToken;
  return enough
    ? undefined
    : { label: isUtf8(body.subarray(0, blockSize)) ? "txt" : "unknown", score: 1 };
}

function decided(scores, config) {
  const { labels, overwrite, thresholds, thresholdOf, defaultThreshold, textLabels } = config;
  let best = 0;
  for (let index = 1; index < scores.length; index += 1)
    if (scores[index] > scores[best]) best = index;
  const score = scores[best];
  const seen = labels[best];
  const label = overwrite[seen] ?? seen;
  const threshold = thresholds[thresholdOf === "overwritten" ? label : seen] ?? defaultThreshold;
  if (score >= threshold) return { label, score };
  return { label: textLabels.has(label) ? "txt" : "unknown", score };
}

function tokensOf(body, config) {
  const { begin, middle, end, blockSize, paddingToken, stripsWhole } = config;
  const parts = stripsWhole
    ? partsOfWhole(body, blockSize, middle)
    : partsOfEnds(body, Math.min(blockSize, body.length));
  const padded = (bytes, size, before) => [
    ...Array(before).fill(paddingToken),
    ...bytes,
    ...Array(size - before - bytes.length).fill(paddingToken),
  ];
  const first = parts.begin.subarray(0, begin);
  const last = parts.end.subarray(Math.max(0, parts.end.length - end));
  const offset = Math.max(0, Math.floor((parts.middle.length - middle) / 2));
  const mid = parts.middle.subarray(offset, offset + middle);
  return [
    ...padded(first, begin, 0),
    ...padded(mid, middle, Math.floor((middle - mid.length) / 2)),
    ...padded(last, end, end - last.length),
  ];
}

/** standard_v1: a small file is stripped as a whole; of a large one, its first and last block. */
function partsOfWhole(body, blockSize, middle) {
  if (body.length < 2 * blockSize + middle) {
    const whole = stripRight(stripLeft(body));
    return { begin: whole, middle: whole, end: whole };
  }
  const begin = stripLeft(body.subarray(0, blockSize));
  const end = stripRight(body.subarray(body.length - blockSize));
  const trimmedLeft = blockSize - begin.length;
  const trimmedRight = blockSize - end.length;
  const from = trimmedLeft + Math.floor((body.length - trimmedLeft - trimmedRight - middle) / 2);
  return { begin, middle: body.subarray(from, from + middle), end };
}

/** standard_v3: the first and the last block, each stripped on its outer side. */
function partsOfEnds(body, size) {
  const begin = stripLeft(body.subarray(0, size));
  const end = stripRight(body.subarray(body.length - size));
  return { begin, middle: body.subarray(0, 0), end };
}

/** What Python's bytes.strip() takes for white space. */
const isSpace = (byte) => byte === 32 || (byte >= 9 && byte <= 13);

function stripLeft(bytes) {
  let from = 0;
  while (from < bytes.length && isSpace(bytes[from])) from += 1;
  return bytes.subarray(from);
}

function stripRight(bytes) {
  let to = bytes.length;
  while (to > 0 && isSpace(bytes[to - 1])) to -= 1;
  return bytes.subarray(0, to);
}

function isUtf8(bytes) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
