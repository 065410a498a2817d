"""An ONNX model behind LitServe, which speaks a JSON of its own."""

import os

import litserve
import numpy as np
import onnxruntime

MAX_BATCH_SIZE = 32
BATCH_TIMEOUT_SECONDS = 0.002


class OnnxApi(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["THREADS"])
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )
        given = self.session.get_inputs()[0]
        self.input = given.name
        self.output = self.session.get_outputs()[-1].name
        self.dtype = np.float32 if "float" in given.type else np.int32

    def decode_request(self, request):
        return np.asarray(request["x"], dtype=self.dtype)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, batch):
        rows = batch if batch.ndim == 2 else batch[None]
        return self.session.run([self.output], {self.input: rows})[0]

    def unbatch(self, rows):
        return list(rows)

    def encode_response(self, row):
        return {"y": np.ravel(row).tolist()}


if __name__ == "__main__":
    api = OnnxApi(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
