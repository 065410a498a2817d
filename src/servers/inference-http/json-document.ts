import { ServiceError } from "../../core/error.js";
import { OPEN_LIST, OPEN_OBJECT, afterSpace, eachItem, eachMember, valueEnd } from "./json-text.js";

export type JsonDocument = {
  /** The document, with null in place of each list of data. */
  readonly value: unknown;
  /** The text of `data` by the position of its input, where it is a list. */
  readonly data: ReadonlyMap<number, Buffer>;
};

/** What remains without data is names and shapes: it needs no more, and each `{}` costs a parser. */
const MAX_REST_BYTES = 1024 * 1024;

/**
 * Parses the JSON of an inference request but for `data`, which is read later, straight into the
 * datatype that the model takes: nothing is made of millions of elements that nobody asked for, and
 * a 64-bit integer never passes through a double.
 */
export function parseDocument(json: Buffer): JsonDocument {
  const { rest, data } = withoutData(json);
  if (rest.length > MAX_REST_BYTES) {
    const message = `the JSON has ${rest.length} bytes besides the data of its inputs, the limit is ${MAX_REST_BYTES}`;
    throw new ServiceError("tooLarge", message);
  }
  return { value: parseJson(rest), data };
}

export function parseJson(json: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    const because = cause instanceof SyntaxError ? cause.message : "it is not valid UTF-8";
    throw new ServiceError("badRequest", `the body is not JSON: ${because}`, { cause });
  }
}

/** Text that is no JSON stays in the rest, for the parser to say so. */
function withoutData(json: Buffer): { readonly rest: Buffer; readonly data: Map<number, Buffer> } {
  const data = new Map<number, Buffer>();
  const parts: Buffer[] = [];
  let copied = 0;
  const cut = (input: number, start: number): number => {
    const end = valueEnd(json, start);
    parts.push(json.subarray(copied, start), NULL);
    data.set(input, json.subarray(start, end));
    copied = end;
    return end;
  };
  const inInput = (input: number, start: number): number => {
    if (json[start] !== OPEN_OBJECT) return valueEnd(json, start);
    return eachMember(json, start, (key, value) =>
      key === "data" && json[value] === OPEN_LIST ? cut(input, value) : valueEnd(json, value),
    );
  };
  const start = afterSpace(json, 0);
  if (json[start] === OPEN_OBJECT) {
    eachMember(json, start, (key, value) => {
      if (key !== "inputs" || json[value] !== OPEN_LIST) return valueEnd(json, value);
      data.clear();
      return eachItem(json, value, inInput);
    });
  }
  return { rest: Buffer.concat([...parts, json.subarray(copied)]), data };
}

const NULL = Buffer.from("null");
