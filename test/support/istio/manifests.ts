import { parseAllDocuments } from "yaml";
import type { KubeObject } from "./kube-stub.js";

/** The objects of a stream of YAML documents, some of which may be empty. */
export const objectsIn = (text: string): readonly KubeObject[] =>
  parseAllDocuments(text).flatMap((document) => (document.toJS() as KubeObject | null) ?? []);
