import { connect } from "node:http2";

/** Calls a method with an empty message; the status is in the headers of an answer without one. */
export async function grpcStatus(
  url: string,
  authority: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const session = connect(url);
  try {
    const stream = session.request({
      ...{ ":method": "POST", ":path": path, ":authority": authority },
      ...{ "content-type": "application/grpc", te: "trailers", ...headers },
    });
    stream.end(Buffer.alloc(5));
    return await new Promise((resolve, reject) => {
      session.on("error", reject);
      stream.on("error", reject).on("response", (answer) => {
        resolve(answer["grpc-status"]);
      });
    });
  } finally {
    session.destroy();
  }
}
