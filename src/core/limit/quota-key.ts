import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** Longest text that a key holds as it is, in UTF-16 code units: a store holds many keys. */
const MAX_LENGTH = 256;

/** A part of a quota's key that tells what it is of; a long one is told by its digest. */
export const quotaKeyPart = (text: string): string =>
  text.length <= MAX_LENGTH ? `=${text}` : `#${bytesToHex(sha256(utf8ToBytes(text)))}`;
