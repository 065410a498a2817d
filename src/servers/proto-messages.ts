import { fileURLToPath } from "node:url";
import {
  loadSync,
  type MessageTypeDefinition,
  type Options,
  type PackageDefinition,
} from "@grpc/proto-loader";

/** No `defaults`: they double the cost of decoding, and absent is what proto3 means anyway. */
const AS_GENERATED: Options = {
  longs: Number,
  enums: String,
  oneofs: true,
  includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url))],
};

/** A file of `proto/`, read as its generated types say (`npm run generate`). */
export const loadProto = (file: string, options: Options = {}): PackageDefinition =>
  loadSync(file, { ...AS_GENERATED, ...options });

/** The generated types and the loaded definition come from the same files (`npm run generate`). */
export function messageTypeOf<Input, Output>(
  definition: PackageDefinition,
  name: string,
): MessageTypeDefinition<Input, Output> {
  const type = definition[name];
  if (type === undefined) throw new Error(`proto/ does not define ${name}`);
  return type as unknown as MessageTypeDefinition<Input, Output>;
}
