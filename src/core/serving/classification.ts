import type { Datatype } from "../../schema/model-manifest.js";
import { ServiceError } from "../error.js";
import type { ModelSpec } from "./model-spec.js";
import type { NumericArray, Tensor } from "./tensor.js";

/** A requested output of the classification extension needs values that can be put in order. */
export function checkClassifiable(name: string, datatype: Datatype): void {
  if (datatype !== "BYTES" && datatype !== "BOOL" && datatype !== "FP16") return;
  const message = `output ${JSON.stringify(name)} is ${datatype}, which has no classification: ask for the tensor`;
  throw new ServiceError("badRequest", message);
}

/**
 * The classification extension: the `count` greatest values of each item, greatest first, as
 * `<value>:<index>[:<label>]`. Of a model that batches the first axis is the items. Floats have six
 * decimals, as in Triton; NaN is less than every value.
 */
export function classify(
  { labels, maxBatchSize }: Pick<ModelSpec, "labels" | "maxBatchSize">,
  { datatype, shape, data }: Tensor,
  count: number,
): Tensor {
  const batches = maxBatchSize > 1 && shape.length > 0;
  const items = batches ? (shape[0] ?? 0) : 1;
  const classes = items === 0 ? 0 : data.length / items;
  const top = Math.min(count, classes);
  const values = data as NumericArray;
  const isFloat = datatype === "FP32" || datatype === "FP64";
  const named: string[] = [];
  for (let item = 0; item < items; item += 1) {
    const row = values.subarray(item * classes, (item + 1) * classes);
    for (const index of greatest(row, top)) {
      const value = row[index] ?? 0;
      const shown = isFloat ? Number(value).toFixed(6) : String(value);
      const label = labels[index];
      named.push(
        label === undefined || label === "" ? `${shown}:${index}` : `${shown}:${index}:${label}`,
      );
    }
  }
  return { datatype: "BYTES", shape: batches ? [items, top] : [top], data: named };
}

function greatest(row: NumericArray, count: number): readonly number[] {
  const indices = Array.from({ length: row.length }, (_, index) => index);
  indices.sort((a, b) => descending(row[a] ?? 0, row[b] ?? 0) || a - b);
  return indices.slice(0, count);
}

function descending(a: number | bigint, b: number | bigint): number {
  if (a > b) return -1;
  if (a < b) return 1;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}
