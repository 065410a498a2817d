import { connect } from "node:net";
import { stat, unlink } from "node:fs/promises";

const SCHEME = "unix:";

/** The path of `unix:/PATH` or `unix:///PATH`; undefined: it is another kind of address. */
export const unixPathOf = (address: string): string | undefined =>
  address.startsWith(SCHEME) ? address.slice(SCHEME.length).replace(/^\/\/(?=\/)/, "") : undefined;

/**
 * A process that was killed leaves its socket file behind, and the next one could not bind. A file
 * where nobody answers is removed; one that answers, or is no socket, stays and `bind` says so.
 */
export async function freeUnixSocket(address: string): Promise<void> {
  const path = unixPathOf(address);
  if (path === undefined) return;
  // Linux refuses a connection to any file, so only a socket may be taken for a stale one.
  const file = await stat(path).catch(() => undefined);
  if (file?.isSocket() === true && (await isRefused(path))) await unlink(path);
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED");
    });
  });
}
