import { createHash, createPublicKey, verify } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { SessionDefinition } from "./worker-messages.js";

type Checked = Pick<SessionDefinition, "modelFile" | "sha256" | "signature" | "publicKeys">;

/** Throws unless the file is the one that was declared, and signed where that is asked for. */
export async function checkModelFile(definition: Checked): Promise<void> {
  const { modelFile, sha256, signature, publicKeys } = definition;
  if (sha256 === undefined && publicKeys.length === 0) return;
  const hash = createHash("sha256");
  await pipeline(createReadStream(modelFile), hash);
  const digest = hash.digest();
  const actual = digest.toString("hex");
  if (sha256 !== undefined && actual !== sha256) {
    throw new Error(`${modelFile} has SHA-256 ${actual}, model.yaml says ${sha256}`);
  }
  if (publicKeys.length === 0) return;
  if (signature === undefined) {
    throw new Error(
      `${modelFile} is not signed: --model-key is given, so model.yaml needs its signature`,
    );
  }
  const signed = Buffer.from(signature, "base64");
  if (publicKeys.some((key) => verify(null, digest, createPublicKey(key), signed))) return;
  throw new Error(`the signature of ${modelFile} is by none of the keys of --model-key`);
}
