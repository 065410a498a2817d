"""Writes NAME-descriptors.json: the fields of the messages that somebody else publishes.

    pip install protobuf
    pip download --no-deps -d wheels xds-protos==1.85.0 tritonclient==2.51.0
    python test/vectors/descriptors.py envoy-ext-proc wheels/xds_protos-1.85.0-py3-none-any.whl
    python test/vectors/descriptors.py envoy-ratelimit wheels/xds_protos-1.85.0-py3-none-any.whl
    python test/vectors/descriptors.py triton-inference wheels/tritonclient-2.51.0-*.whl

The generated modules in those packages hold each .proto as a serialized FileDescriptorProto. Only
those literals are parsed; none of the packages' code is run.
"""

import ast
import json
import pathlib
import sys
import zipfile

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

# "files": generated module -> the messages and enums taken from it; None takes all of them.
# "leftOut": how the names of messages begin that are not taken.
PUBLISHED = {
    "envoy-ext-proc": {
        "source": "PyPI xds-protos, generated from envoyproxy/data-plane-api",
        "licence": "Apache-2.0",
        "files": {
            "envoy/service/ext_proc/v3/external_processor_pb2.py": None,
            "envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb2.py": None,
            "envoy/config/core/v3/base_pb2.py": {
                "HeaderValue",
                "HeaderMap",
                "HeaderValueOption",
                "Metadata",
            },
            "envoy/type/v3/http_status_pb2.py": None,
        },
        "leftOut": (),
    },
    "envoy-ratelimit": {
        "source": "PyPI xds-protos, generated from envoyproxy/data-plane-api",
        "licence": "Apache-2.0",
        "files": {
            "envoy/service/ratelimit/v3/rls_pb2.py": None,
            "envoy/extensions/common/ratelimit/v3/ratelimit_pb2.py": {"RateLimitDescriptor"},
            "envoy/type/v3/ratelimit_unit_pb2.py": None,
            "envoy/config/core/v3/base_pb2.py": {
                "HeaderValue",
                "HeaderMap",
                "HeaderValueOption",
                "Metadata",
            },
        },
        "leftOut": (),
    },
    "triton-inference": {
        "source": "PyPI tritonclient, generated from triton-inference-server/common",
        "licence": "BSD-3-Clause",
        "files": {
            "tritonclient/grpc/service_pb2.py": None,
            "tritonclient/grpc/model_config_pb2.py": {
                "ModelConfig",
                "ModelInput",
                "ModelOutput",
                "ModelInstanceGroup",
                "ModelVersionPolicy",
                "ModelDynamicBatching",
                "ModelSequenceBatching",
                "ModelEnsembling",
                "ModelResponseCache",
                "ModelParameter",
                "DataType",
            },
        },
        "leftOut": ("SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings"),
    },
}


def serialized_file(source):
    """The bytes given to AddSerializedFile in a generated module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return ast.literal_eval(node.args[0])
    raise SystemExit("no AddSerializedFile call: the package's layout has changed")


def module(package, path):
    """A wheel of a platform keeps its modules below NAME.data/purelib."""
    return package.read(next(name for name in package.namelist() if name.endswith(path)))


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


def values_of(enum):
    return {value.name: value.number for value in enum.value}


def collect(prefix, message, messages, enums):
    name = f"{prefix}.{message.name}"
    messages[name] = [field_of(field, message) for field in message.field]
    for enum in message.enum_type:
        enums[f"{name}.{enum.name}"] = values_of(enum)
    for nested in message.nested_type:
        collect(name, nested, messages, enums)


def methods_of(file):
    return [
        {
            "path": f"/{file.package}.{service.name}/{method.name}",
            "requestType": method.input_type,
            "responseType": method.output_type,
            "requestStream": method.client_streaming,
            "responseStream": method.server_streaming,
        }
        for service in file.service
        for method in service.method
    ]


def main(name, wheel):
    published = PUBLISHED[name]
    messages, enums, methods = {}, {}, []
    with zipfile.ZipFile(wheel) as package:
        for path, wanted in published["files"].items():
            file = FileDescriptorProto.FromString(serialized_file(module(package, path)))
            for enum in file.enum_type:
                if wanted is None or enum.name in wanted:
                    enums[f"{file.package}.{enum.name}"] = values_of(enum)
            for message in file.message_type:
                taken = wanted is None or message.name in wanted
                if taken and not message.name.startswith(published["leftOut"]):
                    collect(file.package, message, messages, enums)
            methods += methods_of(file)
    document = {
        "specVersion": 1,
        "source": published["source"],
        "version": pathlib.Path(wheel).name.split("-")[1],
        "licence": published["licence"],
        "madeBy": "test/vectors/descriptors.py",
        "methods": methods,
        "messages": messages,
        "enums": enums,
    }
    target = pathlib.Path(__file__).with_name(f"{name}-descriptors.json")
    target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PUBLISHED:
        raise SystemExit(f"{__doc__}\nNAME is one of {', '.join(PUBLISHED)}")
    main(*sys.argv[1:])
