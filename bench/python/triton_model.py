"""An ONNX model behind Triton's python backend: the batch that Triton made runs as one."""

import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["THREADS"])
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name
        self.output = self.session.get_outputs()[-1].name

    def execute(self, requests):
        given = [pb_utils.get_input_tensor_by_name(each, self.input).as_numpy() for each in requests]
        batch = np.concatenate(given) if len(given) > 1 else given[0]
        rows = self.session.run([self.output], {self.input: batch})[0]
        responses, start = [], 0
        for each in given:
            end = start + each.shape[0]
            tensor = pb_utils.Tensor(self.output, rows[start:end])
            responses.append(pb_utils.InferenceResponse([tensor]))
            start = end
        return responses
