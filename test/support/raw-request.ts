import { connect } from "node:net";
import { text } from "node:stream/consumers";

/** Sends bytes as they are, whatever a client library would say, and reads until the peer closes. */
export async function sendRaw(
  port: number,
  request: string,
): Promise<{ readonly status: number; readonly headers: string; readonly body: string }> {
  const socket = connect(port, "127.0.0.1");
  // Not half-closed: Envoy takes that for a client that has gone.
  socket.write(Buffer.from(request, "latin1"));
  const [headers = "", body = ""] = (await text(socket)).split(/\r\n\r\n(.*)/s);
  return { status: Number(headers.split(" ")[1]), headers, body };
}
