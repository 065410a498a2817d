import { isAscii } from "node:buffer";
import { elementCount, numericArray } from "../../core/serving/tensor.js";
import type { NumericArray } from "../../core/serving/tensor.js";
import type { InputHead } from "../../core/serving/input-head.js";
import type { Datatype } from "../../schema/model-manifest.js";

/**
 * The engine's own parser is several times as fast as json-text.ts, and makes objects of all it
 * reads: it may have small bodies. What it cannot read exactly, or at all, is read again by
 * json-document.ts and tensor-json.ts, which also know what to say of a mistake.
 */
const MAX_QUICK_BYTES = 64 * 1024;

/** The whole document; undefined: it is for json-document.ts. */
export function quickDocument(json: Buffer): unknown {
  if (json.length > MAX_QUICK_BYTES || !isAscii(json)) return undefined;
  try {
    return JSON.parse(json.toString("latin1"));
  } catch {
    return undefined;
  }
}

/** A double holds each value of these. */
const QUICK = new Set<Datatype>([
  ...(["UINT8", "UINT16", "UINT32", "INT8", "INT16", "INT32", "FP32", "FP64"] as const),
]);

/** The elements of `data`, nested as the shape says or flat; undefined: they are for tensor-json.ts. */
export function quickElements(
  { datatype, shape }: InputHead,
  data: readonly unknown[],
): NumericArray | undefined {
  if (datatype === "BYTES" || !QUICK.has(datatype)) return undefined;
  const total = elementCount(shape);
  const isNested = Array.isArray(data[0]) && shape.length > 0;
  const sizes = isNested ? shape : [total];
  // An announced shape takes no memory that the elements do not.
  if (!isNested && data.length !== total) return undefined;
  if (total > MAX_QUICK_BYTES) return undefined;
  const array = numericArray(datatype, total);
  const isReal = datatype.startsWith("FP");
  let index = 0;
  const fill = (list: unknown, axis: number): boolean => {
    if (!Array.isArray(list) || list.length !== sizes[axis]) return false;
    if (axis < sizes.length - 1) return list.every((each) => fill(each, axis + 1));
    for (const value of list as readonly unknown[]) {
      if (typeof value !== "number") return false;
      array[index] = value;
      // An integer that does not fit is another by now, a number that does not is no number.
      const kept = array[index];
      if (isReal ? !Number.isFinite(kept) : kept !== value) return false;
      index += 1;
    }
    return true;
  };
  return fill(data, 0) ? array : undefined;
}
