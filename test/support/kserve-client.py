"""Calls everything that KServe's client has for protocol v2; prints what came back as one JSON value."""
import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def request(model, binary=False, wanted=None):
    inputs = []
    for name, values in [("a", [[1, 2]]), ("b", [[3, 4]])]:
        given = InferInput(name, [1, 2], "FP32")
        given.set_data_from_numpy(np.array(values, dtype=np.float32), binary_data=binary)
        inputs.append(given)
    outputs = None if wanted is None else [RequestedOutput(wanted)]
    return InferRequest(model_name=model, request_id="r1", infer_inputs=inputs, request_outputs=outputs)


def plain(answer):
    return [answer.id, answer.model_name, answer.model_version,
            {output.name: output.as_numpy().tolist() for output in answer.outputs}]


async def refusal(call):
    try:
        await call
    except Exception as error:
        response = getattr(error, "response", None)
        return response.status_code if response is not None else error.code().name
    return None


async def rest(url):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    seen = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, "sum"),
        "json": plain(await client.infer(url, request("sum"), model_name="sum")),
        "binary": plain(await client.infer(url, request("sum", binary=True), model_name="sum")),
        "one": plain(await client.infer(url, request("sum", wanted="difference"), model_name="sum")),
        "unknown": await refusal(client.infer(url, request("nope"), model_name="nope")),
    }
    await client.close()
    return seen


async def rpc(address):
    async with InferenceGRPCClient(address) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready("sum"),
            "json": plain(await client.infer(request("sum"))),
            "binary": plain(await client.infer(request("sum", binary=True))),
            "one": plain(await client.infer(request("sum", wanted="difference"))),
            "unknown": await refusal(client.infer(request("nope"))),
        }


async def main(url, address):
    return {"rest": await rest(url), "grpc": await rpc(address)}


print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))))
