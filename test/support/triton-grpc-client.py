"""Calls everything that tritonclient has for gRPC; prints what came back as one JSON value."""
import asyncio
import json
import queue
import sys

import grpc as grpcio
import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

DATATYPES = {
    "bool": (np.bool_, [[True, False]], "bool_contents"),
    "uint8": (np.uint8, [[0, 255]], "uint_contents"),
    "uint16": (np.uint16, [[0, 65535]], "uint_contents"),
    "uint32": (np.uint32, [[0, 4294967295]], "uint_contents"),
    "uint64": (np.uint64, [[2**53 + 1, 2**64 - 1]], "uint64_contents"),
    "int8": (np.int8, [[-128, 127]], "int_contents"),
    "int16": (np.int16, [[-32768, 32767]], "int_contents"),
    "int32": (np.int32, [[-2147483648, 2147483647]], "int_contents"),
    "int64": (np.int64, [[-(2**63), 2**53 + 1]], "int64_contents"),
    "fp16": (np.float16, [[1.5, -2]], None),
    "fp32": (np.float32, [[1.5, float("inf")]], "fp32_contents"),
    "fp64": (np.float64, [[0.1, -2]], "fp64_contents"),
    "bytes": (np.object_, [["é\n", ""]], "bytes_contents"),
}


def tensor(name, values, datatype="FP32", numpy_type=np.float32):
    array = np.array(values, dtype=numpy_type)
    given = grpc.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def pair():
    return [tensor("a", [[1, 2]]), tensor("b", [[3, 4]])]


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
    index = lambda: client.get_model_repository_index(as_json=True)["models"]
    names = lambda: {entry["name"]: entry["state"] for entry in index()}
    seen = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [client.is_model_ready("sum"), client.is_model_ready("sum", "1")],
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata("sum", "1", as_json=True),
        "config": client.get_model_config("sum", as_json=True)["config"],
        "before": names()["fp32"],
    }
    client.unload_model("fp32")
    seen["unloaded"] = names()["fp32"]
    client.load_model("fp32")
    seen["loaded"] = [names()["fp32"], client.is_model_ready("fp32")]
    seen["refused"] = {
        "load": error_of(lambda: client.load_model("nope")),
        "config": error_of(lambda: client.load_model("fp32", config="{}")),
        "ready": error_of(lambda: client.is_model_ready("nope")),
        "version": error_of(lambda: client.is_model_ready("sum", "9")),
        "trace": error_of(lambda: client.get_trace_settings()),
        "log": error_of(lambda: client.get_log_settings()),
        "system_memory": error_of(lambda: client.get_system_shared_memory_status()),
        "cuda_memory": error_of(lambda: client.get_cuda_shared_memory_status()),
        "model": error_of(lambda: client.infer("nope", [tensor("x", [[1, 2]])])),
        "shape": error_of(lambda: client.infer("fp32", [tensor("x", [[1, 2, 3]])])),
        "sequence": error_of(lambda: client.infer("fp32", [tensor("x", [[1, 2]])], sequence_id=7)),
        "timeout": error_of(lambda: client.infer("slow", [tensor("x", [[1]])], timeout=1)),
        "deadline": error_of(lambda: client.infer("slow", [tensor("x", [[1]])],
                                                  client_timeout=0.001)),
    }
    return seen


def datatypes(client, stub):
    """Raw as the client sends it, and in typed contents as its messages can be filled."""
    seen = {}
    for name, (numpy_type, values, field) in DATATYPES.items():
        given = tensor("x", values, name.upper(), numpy_type)
        answer = client.infer(name, [given])
        expected = values if name == "bytes" else np.array(values, numpy_type).tolist()
        seen[f"{name} raw"] = plain(answer.as_numpy("y")) == expected
        if field is None:
            continue
        request = service_pb2.ModelInferRequest(model_name=name, id=name)
        one = request.inputs.add(name="x", datatype=name.upper(), shape=[1, 2])
        flat = [each.encode() for each in values[0]] if name == "bytes" else values[0]
        getattr(one.contents, field).extend(flat)
        reply = stub.ModelInfer(request)
        back = list(getattr(reply.outputs[0].contents, field))
        seen[f"{name} contents"] = back == flat and len(reply.raw_output_contents) == 0
    return seen


def inference(client):
    whole = client.infer("sum", pair(), request_id="r1", priority=1, timeout=5_000_000,
                         parameters={"ours": "a", "count": 3, "flag": True})
    one = client.infer("sum", pair(), outputs=[grpc.InferRequestedOutput("difference")])
    classes = client.infer("sum", pair(), outputs=[grpc.InferRequestedOutput("sum", class_count=2)])
    wide = {}
    for algorithm in [None, "gzip", "deflate"]:
        answer = client.infer("wide", [tensor("x", [[0.5] * 5000])], compression_algorithm=algorithm)
        wide[str(algorithm)] = float(answer.as_numpy("y").sum())
    done = queue.Queue()
    for each in range(8):
        client.async_infer("sum", pair(), request_id=str(each),
                           callback=lambda result, error: done.put((result, error)))
    answers = [done.get(timeout=30) for _ in range(8)]
    return {
        "whole": [whole.get_response().id, plain(whole.as_numpy("sum"))],
        "version": whole.get_response().model_version,
        "one": [plain(one.as_numpy("difference")), one.as_numpy("sum") is None],
        "classes": plain(classes.as_numpy("sum")),
        "wide": wide,
        "async": sorted(result.get_response().id for result, error in answers if error is None),
    }


def streaming(client):
    done = queue.Queue()
    client.start_stream(callback=lambda result, error: done.put((result, error)))
    client.async_stream_infer("slow", [tensor("x", [[1]])], request_id="slow")
    client.async_stream_infer("sum", pair(), request_id="sum",
                              enable_empty_final_response=True)
    client.async_stream_infer("sum", [tensor("a", [[1, 2]])], request_id="bad")
    client.async_stream_infer("sum", pair(), request_id="last")
    answers = [done.get(timeout=30) for _ in range(4)]
    client.stop_stream()
    return [
        [result.get_response().id, result.get_response().parameters["triton_final_response"].bool_param]
        if error is None else error.message()
        for result, error in answers
    ]


def sequences(client):
    """Two at a time, one call after the other and then all in one stream: what each adds up to."""
    x = lambda value: [tensor("x", [[value]])]
    sum_of = lambda result: float(result.as_numpy("y")[0, 0])
    unary = {7: [], "speech": []}
    for at in range(3):
        for name, size in [(7, 1), ("speech", 10)]:
            flags = {"sequence_start": at == 0, "sequence_end": at == 2}
            result = client.infer("tally", x(size * (at + 1)), sequence_id=name, **flags)
            unary[name].append(sum_of(result))
    done = queue.Queue()
    client.start_stream(callback=lambda result, error: done.put((result, error)))
    for at in range(3):
        for name, size in [(8, 1), ("song", 10)]:
            flags = {"sequence_start": at == 0, "sequence_end": at == 2}
            client.async_stream_infer("tally", x(size * (at + 1)), sequence_id=name,
                                      request_id=str(name), **flags)
    streamed = {8: [], "song": []}
    for _ in range(6):
        result, error = done.get(timeout=30)
        name = result.get_response().id
        streamed[8 if name == "8" else name].append(sum_of(result))
    client.stop_stream()
    state = client.get_model_config("tally").config.sequence_batching.state
    return {
        "config": [[each.input_name, each.output_name] for each in state],
        "inputs": [each.name for each in client.get_model_metadata("tally").inputs],
        "unary": unary,
        "streamed": streamed,
        "ended": error_of(lambda: client.infer("tally", x(1), sequence_id=7))[1],
        "none": error_of(lambda: client.infer("tally", x(1)))[1],
    }


def statistics(client):
    every = client.get_inference_statistics(as_json=True)["model_stats"]
    stats = client.get_inference_statistics("sum", "1").model_stats[0]
    durations = ["success", "fail", "queue", "compute_input", "compute_infer", "compute_output"]
    return {
        "models": len(every),
        "counts": [stats.inference_count, stats.execution_count > 0],
        "durations": {name: getattr(stats.inference_stats, name).count for name in durations},
        "took_time": stats.inference_stats.compute_infer.ns > 0,
        "batches": sum(each.compute_infer.count for each in stats.batch_stats) > 0,
    }


def load_reports(stub):
    """What a balancer asks for, as trailers."""
    seen = {}
    for form in ["text", "json", "bin", "yaml"]:
        metadata = [("endpoint-load-metrics-format", form)]
        _, call = stub.ServerLive.with_call(service_pb2.ServerLiveRequest(), metadata=metadata)
        trailers = {key: value for key, value in call.trailing_metadata()}
        seen[form] = {key: value if isinstance(value, str) else value.hex()
                      for key, value in trailers.items() if key.startswith("endpoint-load")}
    return seen


async def asynchronous(address):
    async with aio.InferenceServerClient(address) as client:
        answers = await asyncio.gather(*[client.infer("sum", pair()) for _ in range(8)])

        async def requests():
            for each in range(3):
                yield {"model_name": "sum", "inputs": pair(), "request_id": str(each)}

        streamed = []
        async for result, error in client.stream_infer(requests()):
            streamed.append(result.get_response().id if error is None else error.message())
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_model_ready("sum"),
            "metadata": (await client.get_model_metadata("sum")).name,
            "config": (await client.get_model_config("sum")).config.max_batch_size,
            "index": len((await client.get_model_repository_index()).models),
            "stats": len((await client.get_inference_statistics("sum")).model_stats),
            "answers": [plain(answer.as_numpy("sum")) for answer in answers],
            "streamed": streamed,
        }


address = sys.argv[1]
channel = grpcio.insecure_channel(address)
stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
with grpc.InferenceServerClient(address) as client:
    seen = {
        "administration": administration(client),
        "datatypes": datatypes(client, stub),
        "inference": inference(client),
        "sequences": sequences(client),
        "statistics": statistics(client),
        "streaming": streaming(client),
        "load": load_reports(stub),
    }
channel.close()
seen["aio"] = asyncio.run(asynchronous(address))
print(json.dumps(seen))
