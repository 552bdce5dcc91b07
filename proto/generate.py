"""Generates `tollway.wire.gen` from the contract: messages, gRPC stubs and type stubs.

The field rules (`buf/validate/validate.proto`) come from the installed validation library itself, so that the rules and
the library that enforces them are of one version. Run by `make gen`; the output is committed and never edited.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

PROTO = Path(__file__).parent
GEN = PROTO.parent / "libs" / "tollway" / "wire" / "gen"
RULES = "buf/validate/validate.proto"
DESCRIPTORS = "sources.pb"


def rules_descriptor() -> bytes:
    """A FileDescriptorSet of the field rules and what they import."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    rules = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    rules.ClearField("source_code_info")
    files.file.append(rules)
    return files.SerializeToString()


def compile_protos(out: Path) -> None:
    """Runs protoc over the rules and over every file of ours."""
    sources = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "tollway").rglob("*.proto"))
    # The compiler takes imports either from a descriptor set or from source trees, so everything goes into one set.
    rules_set = out / "rules.pb"
    rules_set.write_bytes(rules_descriptor())
    google_api = str(Path(annotations_pb2.__file__).parents[2])
    well_known = str(resources.files("grpc_tools") / "_proto")
    all_set = out / "all.pb"
    run(f"--descriptor_set_in={rules_set}", "--include_imports", f"--descriptor_set_out={all_set}.rules", RULES)
    google_sources = ["google/api/annotations.proto", "google/api/http.proto"]
    run(
        f"-I{google_api}",
        f"-I{well_known}",
        "--include_imports",
        f"--descriptor_set_out={all_set}.google",
        *google_sources,
    )
    merge_sets(all_set, Path(f"{all_set}.rules"), Path(f"{all_set}.google"))
    run(f"--descriptor_set_in={all_set}", f"--python_out={out}", f"--pyi_out={out}", RULES)
    run(
        f"--descriptor_set_in={all_set}",
        f"-I{PROTO}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        "--include_source_info",
        f"--descriptor_set_out={out / DESCRIPTORS}",
        *sources,
    )


def merge_sets(target: Path, *parts: Path) -> None:
    """One FileDescriptorSet of several, each file once."""
    merged = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()
    for part in parts:
        for file in descriptor_pb2.FileDescriptorSet.FromString(part.read_bytes()).file:
            if file.name not in seen:
                seen.add(file.name)
                merged.file.append(file)
    target.write_bytes(merged.SerializeToString())


def run(*arguments: str) -> None:
    """One call of protoc; ends the program when it fails."""
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit(f"protoc failed: {' '.join(arguments)}")


def comments(descriptors: bytes) -> dict[str, str]:
    """Full name -> the comment above it, which the generated Python code does not keep."""
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        for location in file.source_code_info.location:
            text = " ".join(line.strip() for line in location.leading_comments.strip().splitlines())
            if text and (name := full_name(file, list(location.path))):
                found[name] = text
    return dict(sorted(found.items()))


def full_name(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> str | None:
    """What a path of `source_code_info` (field numbers and indexes of the descriptor messages) points to."""
    node: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number[number].name
        if field not in ("message_type", "nested_type", "field", "service", "method"):
            return None
        node = getattr(node, field)[index]
        names.append(node.name)
    return ".".join(names) if len(path) % 2 == 0 and len(names) > 1 else None


def rehome(path: Path) -> None:
    """Imports of generated modules, moved under `tollway.wire.gen`."""
    text = path.read_text()
    text = re.sub(r"^from (tollway|buf)\.", r"from tollway.wire.gen.\1.", text, flags=re.M)
    path.write_text(text)


def wants_stubs(path: Path) -> bool:
    """Whether the gRPC stubs are used: not without services, nor for what the dispatcher serves."""
    return "add_" in path.read_text() and "control" not in path.parts


def main() -> None:
    """Replaces the generated tree."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        compile_protos(out)
        shutil.rmtree(GEN, ignore_errors=True)
        for path in sorted(out.rglob("*.py*")):
            if path.name.endswith("_pb2_grpc.py") and not wants_stubs(path):
                continue
            target = GEN / path.relative_to(out)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            rehome(target)
        text = json.dumps(comments((out / DESCRIPTORS).read_bytes()), indent=1, ensure_ascii=False)
        (GEN / "comments.json").write_text(text + "\n")
    for folder in (GEN, *(path for path in GEN.rglob("*") if path.is_dir())):
        # Ordinary packages: tools that follow imports do not look into folders without one.
        (folder / "__init__.py").write_text('"""Generated by `make gen`; never edited."""\n')


if __name__ == "__main__":
    main()
