import { ServiceError } from "../../core/error.js";
import { elementCount } from "../../core/serving/tensor.js";
import { CLOSE_LIST, OPEN_LIST, afterSpace, isComma, valueEnd } from "./json-text.js";

/**
 * Walks the elements of `data`, which is nested as the shape says, or flat, row-major either way.
 * Stops at the first thing that is wrong.
 *
 * @param read reads the element with this number at this position; answers where it ends
 */
export function walkData(
  input: { readonly name: string; readonly shape: readonly number[] },
  data: Buffer,
  read: (at: number, index: number) => number,
): void {
  const { name, shape } = input;
  const isNested = data[afterSpace(data, 1)] === OPEN_LIST;
  const total = elementCount(shape);
  const sizes = isNested && shape.length > 0 ? shape : [total];
  const last = sizes.length - 1;
  let index = 0;
  const list = (start: number, axis: number): number => {
    if (data[start] !== OPEN_LIST) throw otherShape(name, shape);
    let at = afterSpace(data, start + 1);
    const size = sizes[axis] ?? 0;
    for (let count = 0; count < size; count += 1) {
      if (count > 0) at = afterComma(at);
      else if (data[at] === CLOSE_LIST) throw wrongCount(at);
      at = afterSpace(data, axis === last ? read(at, index++) : list(at, axis + 1));
    }
    if (data[at] !== CLOSE_LIST) throw wrongCount(at);
    return at + 1;
  };
  const afterComma = (at: number): number => {
    if (isComma(data[at])) return afterSpace(data, at + 1);
    throw wrongCount(at);
  };
  const wrongCount = (at: number): ServiceError => {
    const isMore = isComma(data[at]) || (total === 0 && index === 0);
    if (!isMore && data[at] !== CLOSE_LIST) return notJson(name, index);
    if (isNested) return otherShape(name, shape);
    const has = isMore ? `more than ${total}` : String(index);
    const message = `input ${name} has ${has} elements of data, shape [${shape.join(",")}] needs ${total}`;
    return new ServiceError("badRequest", message);
  };
  list(0, 0);
}

/** The value at `at` as its author wrote it, if it is short. */
export function shownValue(data: Buffer, at: number): string {
  if (data[at] === OPEN_LIST) return "a list";
  if (data[at] === 0x7b) return "an object";
  return data.toString("utf8", at, Math.min(valueEnd(data, at), at + 64)) || "nothing";
}

function otherShape(name: string, shape: readonly number[]): ServiceError {
  const message = `input ${name}: nested data does not have the shape [${shape.join(",")}]`;
  return new ServiceError("badRequest", message);
}

function notJson(name: string, index: number): ServiceError {
  const message = `input ${name}: data is not JSON near element ${index}`;
  return new ServiceError("badRequest", message);
}
