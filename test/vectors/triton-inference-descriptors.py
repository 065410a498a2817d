"""Writes triton-inference-descriptors.json: the fields of Triton's published gRPC messages.

    pip download --no-deps -d /tmp tritonclient==2.51.0
    pip install protobuf
    python test/vectors/triton-inference-descriptors.py /tmp/tritonclient-2.51.0-*.whl

The generated modules in that package hold each .proto as a serialized FileDescriptorProto. Only
those literals are parsed; none of the package's code is run. Shared memory is left out, and of the
model configuration everything but what is named below.
"""

import ast
import json
import pathlib
import sys
import zipfile

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

# File -> the messages and enums taken from it; None takes all of them.
FILES = {
    "tritonclient/grpc/service_pb2.py": None,
    "tritonclient/grpc/model_config_pb2.py": {
        "ModelConfig",
        "ModelInput",
        "ModelOutput",
        "ModelInstanceGroup",
        "ModelVersionPolicy",
        "ModelDynamicBatching",
        "ModelParameter",
        "DataType",
    },
}
LEFT_OUT = ("SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings")


def serialized_file(source):
    """The bytes given to AddSerializedFile in a generated module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return ast.literal_eval(node.args[0])
    raise SystemExit("no AddSerializedFile call: the package's layout has changed")


def field_of(field, message):
    real_oneof = field.HasField("oneof_index") and not field.proto3_optional
    return {
        "name": field.name,
        "number": field.number,
        "type": FieldDescriptorProto.Type.Name(field.type),
        "typeName": field.type_name or None,
        "label": FieldDescriptorProto.Label.Name(field.label),
        "oneof": message.oneof_decl[field.oneof_index].name if real_oneof else None,
    }


def collect(prefix, message, messages, enums):
    name = f"{prefix}.{message.name}"
    messages[name] = [field_of(field, message) for field in message.field]
    for enum in message.enum_type:
        enums[f"{name}.{enum.name}"] = {v.name: v.number for v in enum.value}
    for nested in message.nested_type:
        collect(name, nested, messages, enums)


def main(wheel):
    messages, enums, methods = {}, {}, []
    with zipfile.ZipFile(wheel) as package:
        for path, wanted in FILES.items():
            file = FileDescriptorProto.FromString(serialized_file(package.read(path)))
            taken = lambda name: wanted is None or name in wanted
            for enum in file.enum_type:
                if taken(enum.name):
                    enums[f"{file.package}.{enum.name}"] = {v.name: v.number for v in enum.value}
            for message in file.message_type:
                if taken(message.name) and not message.name.startswith(LEFT_OUT):
                    collect(file.package, message, messages, enums)
            for service in file.service:
                for method in service.method:
                    methods.append(
                        {
                            "path": f"/{file.package}.{service.name}/{method.name}",
                            "requestType": method.input_type,
                            "responseType": method.output_type,
                            "requestStream": method.client_streaming,
                            "responseStream": method.server_streaming,
                        }
                    )
    document = {
        "specVersion": 1,
        "source": "PyPI tritonclient, generated from triton-inference-server/common",
        "version": pathlib.Path(wheel).name.split("-")[1],
        "licence": "BSD-3-Clause",
        "madeBy": "test/vectors/triton-inference-descriptors.py",
        "methods": methods,
        "messages": messages,
        "enums": enums,
    }
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
