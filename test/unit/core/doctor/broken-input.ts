import type { Expected, Replica } from "../../../../src/core/doctor/mesh.js";
import type { Document } from "../../../support/sound-mesh.js";

/** A sound input with one thing wrong. */
export type BrokenInput = {
  readonly id: string;
  readonly name: string;
  readonly documents: () => readonly Document[];
  readonly expected?: Expected;
  readonly replicas?: readonly Replica[];
};

/** Makes inputs of one kind: each is sound before `breakIt` has had its way. */
export function brokenFrom(sound: () => Document[]) {
  return (
    id: string,
    name: string,
    breakIt: (documents: Document[]) => void,
    rest: Pick<BrokenInput, "expected" | "replicas"> = {},
  ): BrokenInput => ({
    id,
    name,
    documents: () => {
      const documents = sound();
      breakIt(documents);
      return documents;
    },
    ...rest,
  });
}
