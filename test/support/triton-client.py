"""Calls everything that tritonclient has for HTTP; prints what came back as one JSON value."""
import asyncio
import json
import sys

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

DATATYPES = {
    "bool": (np.bool_, [[True, False]]),
    "uint8": (np.uint8, [[0, 255]]),
    "uint16": (np.uint16, [[0, 65535]]),
    "uint32": (np.uint32, [[0, 4294967295]]),
    "uint64": (np.uint64, [[0, 18446744073709551615]]),
    "int8": (np.int8, [[-128, 127]]),
    "int16": (np.int16, [[-32768, 32767]]),
    "int32": (np.int32, [[-2147483648, 2147483647]]),
    "int64": (np.int64, [[-9223372036854775808, 9223372036854775807]]),
    "fp16": (np.float16, [[1.5, -2]]),
    "fp32": (np.float32, [[1.5, -2]]),
    "fp64": (np.float64, [[0.1, -2]]),
    "bytes": (np.object_, [["é", ""]]),
}


def tensor(name, values, datatype="FP32", numpy_type=np.float32, binary=True):
    array = np.array(values, dtype=numpy_type)
    given = http.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def plain(array):
    decode = lambda each: each.decode() if isinstance(each, bytes) else each
    return [[decode(each) for each in row] for row in array.tolist()]


def error_of(call):
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def administration(client):
    names = lambda: {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    seen = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [
            client.is_model_ready("sum"),
            client.is_model_ready("sum", "1"),
            client.is_model_ready("sum", "9"),
            client.is_model_ready("nope"),
        ],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("sum", "1"),
        "config": client.get_model_config("sum"),
        "before": names()["fp32"],
    }
    client.unload_model("fp32")
    seen["unloaded"] = [names()["fp32"], client.is_model_ready("fp32")]
    client.load_model("fp32")
    seen["loaded"] = [names()["fp32"], client.is_model_ready("fp32")]
    seen["refused"] = {
        "load": error_of(lambda: client.load_model("nope")),
        "config": error_of(lambda: client.load_model("fp32", config="{}")),
        "trace": error_of(lambda: client.get_trace_settings()),
        "shared_memory": error_of(lambda: client.get_system_shared_memory_status()),
        "model": error_of(lambda: client.infer("nope", [tensor("x", [[1, 2]])])),
        "shape": error_of(lambda: client.infer("fp32", [tensor("x", [[1, 2, 3]])])),
        "sequence": error_of(lambda: client.infer("fp32", [tensor("x", [[1, 2]])], sequence_id=7)),
    }
    return seen


def datatypes(client):
    seen = {}
    for name, (numpy_type, values) in DATATYPES.items():
        for binary in [True, False]:
            if name == "fp16" and not binary:
                continue
            given = tensor("x", values, name.upper(), numpy_type, binary)
            wanted = [http.InferRequestedOutput("y", binary_data=binary)]
            answer = client.infer(name, [given], outputs=wanted).as_numpy("y")
            same = plain(answer) == [[str(each) for each in row] if name == "bytes" else
                                     np.array(row, numpy_type).tolist() for row in values]
            seen[f"{name} {'binary' if binary else 'json'}"] = same
    return seen


def inference(client):
    pair = [tensor("a", [[1, 2]]), tensor("b", [[3, 4]])]
    whole = client.infer("sum", pair, request_id="r1", priority=1, timeout=5_000_000,
                         parameters={"ours": "a", "count": 3})
    one = client.infer("sum", pair, outputs=[http.InferRequestedOutput("difference")])
    classes = client.infer("sum", pair, outputs=[http.InferRequestedOutput("sum", class_count=2)])
    wide = [tensor("x", [[0.5] * 5000], binary=False)]
    compressed = {}
    for algorithm in ["gzip", "deflate"]:
        answer = client.infer("wide", wide, request_compression_algorithm=algorithm,
                              response_compression_algorithm=algorithm)
        compressed[algorithm] = float(answer.as_numpy("y").sum())
    handles = [client.async_infer("sum", pair, request_id=str(each)) for each in range(8)]
    body, header_length = http.InferenceServerClient.generate_request_body(pair)
    return {
        "whole": [whole.get_response()["id"], plain(whole.as_numpy("sum"))],
        "version": whole.get_response()["model_version"],
        "one": [plain(one.as_numpy("difference")), one.as_numpy("sum") is None],
        "classes": plain(classes.as_numpy("sum")),
        "compressed": compressed,
        "async": [handle.get_result().get_response()["id"] for handle in handles],
        "generated": [len(body) - (header_length or len(body))],
    }


def sequences(client):
    """Two at a time: what each adds up to."""
    step = lambda value, **parameters: float(
        client.infer("tally", [tensor("x", [[value]])], **parameters).as_numpy("y")[0, 0])
    unary = {7: [], "speech": []}
    for at in range(3):
        for name, size in [(7, 1), ("speech", 10)]:
            flags = {"sequence_start": at == 0, "sequence_end": at == 2}
            unary[name].append(step(size * (at + 1), sequence_id=name, **flags))
    return {
        "inputs": [each["name"] for each in client.get_model_metadata("tally")["inputs"]],
        "unary": unary,
        "ended": error_of(lambda: step(1, sequence_id=7))[1],
        "none": error_of(lambda: step(1))[1],
    }


def statistics(client):
    every = client.get_inference_statistics()["model_stats"]
    one = client.get_inference_statistics("sum", "1")["model_stats"]
    stats = one[0]
    return {
        "models": len(every),
        "counts": [stats["inference_count"], stats["execution_count"] > 0],
        "durations": {name: each["count"] for name, each in stats["inference_stats"].items()},
        "took_time": stats["inference_stats"]["compute_infer"]["ns"] > 0,
    }


async def asynchronous(url):
    async with aio.InferenceServerClient(url) as client:
        pair = [tensor("a", [[1, 2]]), tensor("b", [[3, 4]])]
        answers = await asyncio.gather(*[
            client.infer("sum", pair, response_compression_algorithm="gzip") for _ in range(8)
        ])
        wide = await client.infer("wide", [tensor("x", [[0.5] * 5000])],
                                  request_compression_algorithm="gzip",
                                  response_compression_algorithm="deflate")
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_model_ready("sum"),
            "metadata": (await client.get_model_metadata("sum"))["name"],
            "config": (await client.get_model_config("sum"))["max_batch_size"],
            "index": len(await client.get_model_repository_index()),
            "stats": len((await client.get_inference_statistics("sum"))["model_stats"]),
            "answers": [plain(answer.as_numpy("sum")) for answer in answers],
            "wide": float(wide.as_numpy("y").sum()),
        }


url = sys.argv[1]
with http.InferenceServerClient(url, concurrency=4) as client:
    seen = {
        "administration": administration(client),
        "datatypes": datatypes(client),
        "inference": inference(client),
        "sequences": sequences(client),
        "statistics": statistics(client),
    }
seen["aio"] = asyncio.run(asynchronous(url))
print(json.dumps(seen))
