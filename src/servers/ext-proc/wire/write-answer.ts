import { METADATA_NAMESPACE } from "../../../schema/headers.js";
import type { Answer, HeadersAnswer } from "../answer.js";
import { processingResponseType } from "../protocol.js";
import type { Texts } from "../struct.js";
import { BackwardWriter } from "./backward-writer.js";

/** Tags of the fields that are written: number * 8, and 2 for bytes or 0 for an integer. */
const TAG = {
  response: { requestHeaders: 0x0a, dynamicMetadata: 0x42 },
  headersResponse: { response: 0x0a },
  common: { headerMutation: 0x12, clearRouteCache: 0x28 },
  mutation: { set: 0x0a, remove: 0x12 },
  option: { header: 0x0a, appendAction: 0x18 },
  header: { key: 0x0a, rawValue: 0x1a },
  struct: { field: 0x0a },
  entry: { key: 0x0a, value: 0x12 },
  value: { text: 0x1a, struct: 0x2a },
} as const;
const OVERWRITE_IF_EXISTS_OR_ADD = 2;
const TRUE = 1;

const writer = new BackwardWriter();

/** The bytes of a ProcessingResponse, valid until the next call. */
export function writeAnswer(answer: Answer): Buffer {
  return "set" in answer ? writeHeadersAnswer(answer) : processingResponseType.serialize(answer);
}

/** The last field first, see BackwardWriter; in the message they are in order. */
function writeHeadersAnswer({ remove, set, metadata }: HeadersAnswer): Buffer {
  writer.start();
  if (metadata !== undefined) writeMetadata(metadata);
  const mark = writer.written;
  if (remove.length > 0 || set.length > 0) {
    // Without it Envoy keeps the route it chose before our headers were there.
    writer.byte(TRUE);
    writer.byte(TAG.common.clearRouteCache);
    writeMutation(remove, set);
  }
  writer.field(TAG.headersResponse.response, mark);
  writer.field(TAG.response.requestHeaders, mark);
  return writer.finish();
}

function writeMutation(remove: HeadersAnswer["remove"], set: HeadersAnswer["set"]): void {
  const mark = writer.written;
  for (let at = remove.length - 1; at >= 0; at--) {
    writer.textField(TAG.mutation.remove, remove[at] ?? "");
  }
  for (let at = set.length - 1; at >= 0; at--) {
    const [name, value] = set[at] ?? ["", ""];
    const option = writer.written;
    writer.byte(OVERWRITE_IF_EXISTS_OR_ADD);
    writer.byte(TAG.option.appendAction);
    const header = writer.written;
    // Only raw_value: Envoy reads `value` alone as empty, and refuses both together.
    writer.textField(TAG.header.rawValue, value);
    writer.textField(TAG.header.key, name);
    writer.field(TAG.option.header, header);
    writer.field(TAG.mutation.set, option);
  }
  writer.field(TAG.common.headerMutation, mark);
}

/** A Struct of our namespace, which holds a Struct of the texts. */
function writeMetadata(texts: Texts): void {
  const mark = writer.written;
  for (const name in texts) {
    const text = texts[name];
    if (text === undefined) continue;
    const entry = writer.written;
    writer.textField(TAG.value.text, text);
    writer.field(TAG.entry.value, entry);
    writer.textField(TAG.entry.key, name);
    writer.field(TAG.struct.field, entry);
  }
  writer.field(TAG.value.struct, mark);
  writer.field(TAG.entry.value, mark);
  writer.textField(TAG.entry.key, METADATA_NAMESPACE);
  writer.field(TAG.struct.field, mark);
  writer.field(TAG.response.dynamicMetadata, mark);
}
