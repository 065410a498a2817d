import type { Socket } from "node:net";

const SILENT_MS = 60_000;
const ANSWER_MS = 20_000;

/**
 * Cuts a connection whose peer is gone without a word: its streams would stay open, and their work
 * queued.
 *
 * @param ping      asks for an answer
 * @param silentMs  how long a silent peer is left alone
 * @param answerMs  how long it then has to answer
 */
export function keepAlive(
  socket: Socket,
  ping: () => void,
  { silentMs = SILENT_MS, answerMs = ANSWER_MS } = {},
): void {
  let readAtPing: number | undefined;
  socket.setTimeout(silentMs);
  socket.on("timeout", () => {
    if (readAtPing === socket.bytesRead) socket.destroy();
    else if (readAtPing === undefined) {
      readAtPing = socket.bytesRead;
      socket.setTimeout(answerMs);
      ping();
    } else {
      readAtPing = undefined;
      socket.setTimeout(silentMs);
    }
  });
}
