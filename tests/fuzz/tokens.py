"""Pieces that have upset readers of files before: numbers at limits, odd texts, paths that lead away.

`@OUT@` stands for the folder beside the box that nothing may touch, `@BOX@` for the box; `box.py` puts
the paths in, so that a case has the same bytes wherever it runs.
"""

NUMBERS = [
    "0", "-0", "1", "-1", "2", "127", "128", "255", "256", "32767", "32768", "65535", "65536",
    "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "340282366920938463463374607431768211456", "1e308", "1e309", "-1e309", "1e999999999", "1e-400", "0.0",
    "-0.0", "0.1", "1.0000000000000002", "1e1", "4.9e-324", "9" * 400, "0." + "0" * 400 + "1", "01", "0x10",
    "1_000", "+1", "1.", ".5", "NaN", "nan", ".nan", ".inf", "-.inf", "Infinity", "-Infinity", "1e+",
]  # fmt: skip

PATHS = [
    "..", ".", "/", "", "../../sentinel/a.txt", "../sentinel/a.txt", "../../../sentinel/a.txt", "@OUT@/a.txt",
    "@OUT@/sub/b.bin", "@OUT@", "@BOX@", "@BOX@/model/model.json", "/dev/zero", "/dev/stdin", "/dev/full",
    "/dev/fd/0", "/proc/self/mem", "/proc/self/environ", "/proc/self/fd/1", "pipe.jsonl", "pipe.csv",
    "tables/../../sentinel/a.txt", "tables/../../../sentinel/sub/b.bin", "./run.json", "run.json",
    "receipts/extract/part-00000.json", "tables/prompts/part-00000.parquet", "report.html", "run.lock",
    ".pending/x", "a" * 300, "a/" * 3000 + "b", "model", "model/model.onnx", "~/.bashrc", "file:///etc/passwd",
    "tables//prompts/part-00000.parquet", "tables/prompts/../prompts/part-00000.parquet", "C:\\x", "a\nb",
]  # fmt: skip

TEXTS = [
    "", " ", "\t", "\n", "\r", "\r\n", "\x00", "\x1b[2J\x1b[31m", "\ufeff", "\u200b", "\u202e", "\u2028", "\x85",
    "e\u0301" * 40, "\u0301", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\uffff", "\U0010ffff", "\ufffd",
    "{task}", "{input}", "{{task}}", "{", "}", "{}", "{task}{task}{task}{input}{input}", "<|endoftext|>",
    "<script>alert(1)</script>", "%s%n", "${HOME}", "'", '"', "\\", "\\u0000", "&amp;", "a" * 1000,
    "the red ball " * 2000, "\u65e5" * 5000, "x" * 200_000, "\U0001f388" * 20_000, "A\u0327\u0301" * 3000,
    "null", "true", "false", "id", "text", "task", "input", "neutral", "auto", "-1", "scrambled",
]  # fmt: skip

# Bytes that are no UTF-8, marks of other encodings and the beginnings of other formats.
BYTES = [
    b"\x00", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80",
    b"\x80", b"\xc3", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PAR1", b"PARE", b"PK\x03\x04", b"SQLite format 3\x00",
    b"\x7fELF", b"\r", b"\n", b"\r\n", b"\n\n\n", b"\x00" * 64, b"\xff" * 64, b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff",
    b"\x80\x00\x00\x00", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x08",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
]  # fmt: skip

# Values of a YAML mapping, as they are written.
YAML = [
    "", "~", "null", "[]", "{}", "[[]]", "{a: b}", "[a, b", "{a: ", "]", "}", "*a", "*nobody", "&a x", "&a [*a]",
    "&a {x: *a}", "!tag x", "!!binary aGVsbG8=", "!!str 1", "!!float x", "!<tag:yaml.org,2002:int> 1", "|", ">",
    "|-\n    text\n  less", ">+9\n x", "|2147483647\n x", '"\\x00"', '"\\ud800"', '"\\U00110000"', "'it''s'", '"open',
    "'open", "? complex\n: value", "? [a, b]\n: c", "<<: *a", "- a\n- b", "2001-01-01", "12:30:45", "0o17", "0777",
    "yes", "off", "@x", "`x", "%x", "# comment", "a: b: c", "--- x", "...", "\t- x", "\ufeffx", "a\x85b", "a\u2028b",
    "[" * 50, "[" * 127 + "]" * 127, "[" * 129 + "]" * 129, "[" * 9_000, "{a: " * 200, "- " * 300, "? " * 300, "!" * 300,
    "&a " * 50, "[" + "a, " * 20_000 + "]", '"' + "x" * 100_000 + '"', "all", "[all]", "[all, all]", "last", "captured",
    "mean", "skip", "error", "auto", "cuda", "-1", "[-1]", "[0, 0]", "[4]", "[5]", "[99999]", "{file: /dev/zero}",
    "{file: pipe.jsonl, id: id, text: text}", "{file: inputs.jsonl, id: id, text: text, sha256: 00}",
    "{file: inputs.jsonl, id: text, text: id}", "{file: .., id: id, text: text}", "{file: '*.jsonl', id: id, text: text}",
    "{file: ['inputs.jsonl', 'inputs.jsonl'], id: row, text: text}", "{wordings: []}", "{wordings: [a, a]}",
    "{file: '" + "*/" * 60 + "*', id: id, text: text}", "{file: '[', id: id, text: text}",
]  # fmt: skip

# JSON values as they are written, beside the numbers.
JSON = [
    "null", "true", "false", '""', "[]", "{}", "[[]]", "[null]", '{"": null}', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"',
    '"\\uD83D\\uDE00"', '"\x7f"', '"\\u001b[2J"', '["a", 1, null]', '{"a": 1, "a": 2}', '{"__proto__": 1}', '"' + "x" * 70_000 + '"',
    "[" * 120 + "]" * 120, "[" * 130 + "]" * 130, "[" * 100_000, '{"a":' * 100_000, "[" + "0," * 50_000 + "0]",
]  # fmt: skip

# Words of Hugging Face's tokenizer files.
TOKENIZER = [
    '"BPE"', '"WordPiece"', '"WordLevel"', '"Unigram"', '"ByteLevel"', '"Whitespace"', '"Split"', '"Sequence"',
    '"Precompiled"', '"Replace"', '"NFKC"', '"BertNormalizer"', '"Metaspace"', '"TemplateProcessing"', '"Digits"',
    '{"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": false}',
    '{"type": "Split", "pattern": {"Regex": "(?<x>a|b\\\\g<x>c)*"}, "behavior": "Removed", "invert": true}',
    '{"type": "Split", "pattern": {"Regex": "' + "(" * 3000 + '"}, "behavior": "Isolated", "invert": false}',
    '{"type": "Split", "pattern": {"Regex": "(?:' + "a?" * 40 + "a" * 40 + ')"}, "behavior": "Isolated", "invert": false}',
    '{"type": "Split", "pattern": {"Regex": ""}, "behavior": "MergedWithNext", "invert": false}',
    '{"type": "Split", "pattern": {"String": ""}, "behavior": "Contiguous", "invert": false}',
    '{"type": "Replace", "pattern": {"Regex": "(.*)*x"}, "content": "yy"}',
    '{"type": "Replace", "pattern": {"String": "a"}, "content": "' + "a" * 5000 + '"}',
    '{"type": "Precompiled", "precompiled_charsmap": "AAAA"}',
    '{"type": "Precompiled", "precompiled_charsmap": "/////wAAAAAAAAAA"}',
    '{"type": "Prepend", "prepend": ""}', '{"type": "Strip", "strip_left": true, "strip_right": true}',
    '{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false}',
    '{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [], "special_tokens": {}}',
    '{"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}',
    '{"strategy": {"Fixed": 4294967295}, "direction": "Left", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": ""}',
    '[{"id": 4294967295, "content": "the", "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": false}]',
    '[{"id": 3, "content": "", "single_word": true, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]',
]  # fmt: skip
