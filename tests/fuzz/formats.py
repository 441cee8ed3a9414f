"""What has to be right around a mutated part, so that it is read at all: seals, hashes, lengths."""

import gzip
import hashlib
import io
import json
import os
import zlib

import mutate
import tokens

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise SystemExit(f"{error}: run this with .venv/bin/python (`make venv-test` makes it)") from None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


LABEL = b',\n  "sha256": "'


def seal(text: bytes) -> bytes:
    """A sealed file with the seal that its text needs (FORMAT.md, "Sealed JSON"): anybody can make one."""
    body = unseal(text).rstrip().removesuffix(b"}").rstrip()
    return body + LABEL + sha256(body + b"\n}\n").encode() + b'"\n}\n'


def unseal(text: bytes) -> bytes:
    """The text that a seal is over; as it is when it has no seal."""
    body, label, digest = text.rpartition(LABEL)
    return body + b"\n}\n" if label and len(digest) == 68 else text


def rehash_model(folder) -> None:
    """model.json with the sizes and hashes of the files that are there, however damaged."""
    path = folder / "model.json"
    card = json.loads(path.read_text())
    for name in card["files"]:
        data = (folder / name).read_bytes()
        card["files"][name] = {"sha256": sha256(data), "bytes": len(data)}
    path.write_text(json.dumps(card))


# ---------------------------------------------------------------- compressed files


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def compress_(rng, data: bytes, ending: str) -> bytes:
    """Compressed: whole, in several members, with something behind it, damaged, or as a bomb."""
    pack = zstd if ending == "zst" else gz
    kind = rng.randrange(12)
    if kind <= 2:
        return pack(data)
    if kind == 3:
        at = rng.randrange(len(data) + 1)
        return pack(data[:at]) + pack(data[at:])
    if kind == 4:
        return pack(data) + mutate.piece(rng)
    if kind == 5:
        # A long text without an end, a thousand times smaller than it is.
        filler = rng.choice([b"\x00", b"a", b"\n", b" ", b'{"id": "a"}\n', b'"'])
        size = rng.choice([1 << 20, 1 << 26, 1 << 28])
        return pack(data) + bomb(filler, size, ending)
    if kind == 6:
        return pack(pack(data))
    if kind == 7:
        return data if rng.random() < 0.5 else (gz if pack is zstd else zstd)(data)
    return mutate.bytes_(rng, pack(data))


BOMBS: dict = {}


def apart(make) -> bytes:
    """What `make` gives, made in a process of its own.

    The system counts what a program's parent had in memory as the program's, so that stays little.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            out.write(make())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as source:
        data = source.read()
    if os.waitpid(child, 0)[1] or not data:
        raise SystemExit("a file that becomes very large could not be made")
    return data


def bomb(filler: bytes, size: int, ending: str) -> bytes:
    """`size` bytes of `filler` again and again, compressed; made once."""

    def make() -> bytes:
        if ending == "zst":
            return zstd(filler * (size // len(filler)))
        packer = zlib.compressobj(9, wbits=31)
        block = filler * ((1 << 20) // len(filler))
        return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()

    key = (filler, size, ending)
    if key not in BOMBS:
        BOMBS[key] = apart(make)
    return BOMBS[key]


# ---------------------------------------------------------------- Parquet


def parquet_seeds() -> list:
    """Files of ids and texts: every codec, encoding and type that people have."""
    ids = [f"row-{i}" for i in range(40)]
    texts = [f"the {['red', 'blue', 'green'][i % 3]} ball is on table {i}" for i in range(40)]
    plain = {"id": pa.array(ids), "text": pa.array(texts)}
    tables = [
        plain,
        {"id": pa.array(range(40), pa.int64()), "text": pa.array(texts, pa.large_string())},
        {"id": pa.array(range(40), pa.int32()), "text": pa.array(texts).dictionary_encode()},
        {"id": pa.array(ids, pa.string_view()), "text": pa.array(texts, pa.string_view())},
        {"id": pa.array(ids), "text": pa.array([*texts[:20], None, *texts[21:]])},
        {"id": pa.array([float(i) for i in range(40)]), "text": pa.array(texts)},
        {"id": pa.array([i % 2 == 0 for i in range(40)]), "text": pa.array([t.encode() for t in texts])},
        {"id": pa.array([[x] for x in ids]), "text": pa.array([{"a": x} for x in texts])},
        {"id": pa.array(ids), "other": pa.array([[1.5, None]] * 40), "text": pa.array(texts)},
        {"id": pa.array(ids[:0], pa.string()), "text": pa.array(texts[:0], pa.string())},
    ]
    codecs = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]
    seeds = []
    for i, columns in enumerate(tables):
        for options in (
            {"compression": "none"},
            {"compression": codecs[i % len(codecs)], "data_page_version": "2.0", "row_group_size": 7},
            {"compression": "none", "use_dictionary": False, "write_page_index": True, "data_page_size": 64},
            {"compression": codecs[(i + 3) % len(codecs)], "write_page_checksum": True, "store_schema": False},
        ):
            sink = io.BytesIO()
            pq.write_table(pa.table(columns), sink, **options)
            seeds.append(sink.getvalue())
    for encoding in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
        sink = io.BytesIO()
        wanted = {"id": encoding, "text": encoding}
        pq.write_table(pa.table(plain), sink, compression="none", use_dictionary=False, column_encoding=wanted)
        seeds.append(sink.getvalue())
    return seeds


def parquet_bomb(rng) -> bytes:
    """A small file with a text of hundreds of megabytes."""

    def make() -> bytes:
        sink = io.BytesIO()
        pq.write_table(pa.table({"id": ["a", "b"], "text": ["x" * size, "short"]}), sink, compression="zstd")
        return sink.getvalue()

    size = rng.choice([1 << 24, 1 << 28])
    if size not in BOMBS:
        BOMBS[size] = apart(make)
    return BOMBS[size]


def parquet_(rng, data: bytes, others=()) -> bytes:
    """A few changes: anywhere, in the footer with its length kept true, or in the pages alone."""
    length = int.from_bytes(data[-8:-4], "little")
    kind = rng.randrange(10)
    if len(data) < 12 + length or kind <= 1:
        return mutate.bytes_(rng, data, others)
    pages, footer = data[4 : -8 - length], data[-8 - length : -8]
    if kind <= 5:
        footer = thrift_(rng, footer)
    elif kind <= 8:
        pages = thrift_(rng, pages) if rng.random() < 0.5 else mutate.bytes_(rng, pages)
    else:
        size = rng.choice([0, 1, length - 1, length + 1, len(data), 0x7FFFFFFF, 0xFFFFFFFF])
        return data[:-8] + (size & 0xFFFFFFFF).to_bytes(4, "little") + b"PAR1"
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


VARINTS = [varint(n) for n in (0, 1, 2, 3, 127, 128, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**33, 2**63 - 1, 2**64 - 1)]


def thrift_(rng, data: bytes) -> bytes:
    """Changes of Thrift's compact protocol, where nearly every byte is a field's head or a number."""
    data = bytearray(data)
    for _ in range(mutate.few(rng)):
        if not data:
            break
        i = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind <= 1:
            end = i
            while end < len(data) - 1 and data[end] & 128:
                end += 1
            data[i : end + 1] = rng.choice(VARINTS)
        elif kind == 2:
            data[i] ^= 1 << rng.randrange(8)
        elif kind == 3:
            # The type of a field, or how many elements a list has.
            data[i] = (data[i] & 0xF0) | rng.randrange(16) if rng.random() < 0.5 else (data[i] & 15) | rng.randrange(16) << 4
        elif kind == 4:
            data[i] = rng.choice([0, 1, 2, 0x7E, 0x7F, 0xFF])
        else:
            start, end = mutate.span(rng, len(data))
            data[start:end] = data[start:end] * rng.choice([0, 2])
    return bytes(data)


# ---------------------------------------------------------------- ONNX, which is protobuf


def fields(data: bytes):
    """The fields of a message as [number, wire type, value]; `None` when it is no message."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    try:
        while at < len(data):
            key = number()
            wire = key & 7
            if key >> 3 == 0:
                return None
            if wire == 0:
                value = number()
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
                value, at = data[at : at + size], at + size
            elif wire == 2:
                size = number()
                value, at = data[at : at + size], at + size
            else:
                return None
            if at > len(data):
                return None
            found.append([key >> 3, wire, value])
    except ValueError:
        return None
    return found


def message(found) -> bytes:
    out = bytearray()
    for key, wire, value in found:
        out += varint(key << 3 | wire)
        if wire == 0:
            out += varint(value & (2**64 - 1))
        elif wire == 2:
            out += varint(len(value)) + value
        else:
            out += value
    return bytes(out)


ONNX_WORDS = [
    b"../sentinel/a.txt", b"@OUT@/a.txt", b"/dev/zero", b"model.onnx", b"model.json", b"tokenizer.json", b"", b"a\x00b", b".",
    b"MatMul", b"Loop", b"If", b"Scan", b"Reshape", b"Gather", b"Constant", b"Expand", b"Tile", b"Range", b"Resize", b"com.microsoft",
    b"location", b"offset", b"length", b"18446744073709551615", b"-1", b"99999999999", b"225388", b"input_ids", b"logits", b"batch",
]  # fmt: skip


def protobuf_(rng, data: bytes, depth: int = 0) -> bytes:
    """One change somewhere in the tree of messages; lengths stay true."""
    found = fields(data)
    if not found:
        return mutate.bytes_(rng, data)
    i = rng.randrange(len(found))
    key, wire, value = found[i]
    if wire == 2 and depth < 8 and rng.random() < 0.85 and fields(value):
        found[i][2] = protobuf_(rng, value, depth + 1)
        return message(found)
    kind = rng.randrange(8)
    if kind == 0:
        del found[i]
    elif kind == 1:
        found[i:i] = [found[i]] * rng.choice([1, 2, 500])
    elif kind == 2:
        found[i][0] = rng.choice([key + 1, 1, 2, 3, 5, 20])
    elif kind == 3:
        rng.shuffle(found)
    elif wire == 0:
        found[i][2] = rng.choice([0, 1, 2, 7, 10, 99, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, value + 1, value * 1000])
    elif wire == 2:
        found[i][2] = rng.choice(ONNX_WORDS) if rng.random() < 0.6 else mutate.bytes_(rng, value)
    else:
        found[i][2] = mutate.bytes_(rng, value)[: len(value)].ljust(len(value), b"\xff")
    return message(found)


def graph_(rng, data: bytes, others) -> bytes:
    """A graph with a few changes, mostly ones that leave it protobuf."""
    if rng.random() < 0.2:
        return mutate.bytes_(rng, data, others)
    if rng.random() < 0.15:
        # Another place for the weights, in as many bytes.
        path = rng.choice([b"../sentinel/a.x", b"/proc/self/maps", b"tokenizer.json\0", b"./model.json...", b"model.onnx\0data"])
        return data.replace(b"model.onnx.data", path, rng.choice([1, -1]))
    # Most of an exported graph is names and notes of the exporter, which nothing reads.
    for _ in range(mutate.few(rng) * rng.choice([1, 3, 10])):
        data = protobuf_(rng, data)
    return data


def words_of(path: str):
    """The words that a JSON file of that name knows."""
    return tokens.TOKENIZER if path.endswith("tokenizer.json") else ()
