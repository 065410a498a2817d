import { placeText } from "../../core/doctor/place.js";

/** One document about a mesh, wherever it was read. */
export type MeshDocument = {
  readonly value: unknown;
  /** Says where in the input a path of the document is. */
  readonly locate: (path: readonly (string | number)[]) => string;
};

/** A document without lines: places in it are told by their keys. */
export function documentWithoutLines(source: string, value: unknown): MeshDocument {
  return { value, locate: (path) => `${source} ${placeText(value, path)}`.trimEnd() };
}
