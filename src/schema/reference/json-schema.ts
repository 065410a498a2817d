import { z } from "zod";
import { ModelManifest } from "../model-manifest.js";
import { Policy } from "../policy.js";

/** The part of JSON Schema (2020-12) that our schemas produce. */
export type JsonSchema = {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly required?: readonly string[];
  /** `#/$defs/NAME`, of what holds itself. */
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
};

/** What an operator writes, by the name of its reference page. */
const DOCUMENTS = { policy: Policy, model: ModelManifest } as const;
export type DocumentName = keyof typeof DOCUMENTS;
export const DOCUMENT_NAMES = Object.keys(DOCUMENTS) as readonly DocumentName[];

/**
 * JSON Schema of a document as it is written, for editors and other tools. Rules across fields
 * cannot be expressed in it: `weir check` has them all.
 */
export function jsonSchemaOf(name: DocumentName): JsonSchema {
  return z.toJSONSchema(DOCUMENTS[name], { io: "input" }) as JsonSchema;
}
