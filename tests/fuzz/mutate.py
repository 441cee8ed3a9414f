"""Mutations of bytes, lines, YAML and JSON. All draw from the `random.Random` that they are given."""

import json
from copy import deepcopy

import tokens

# No mutation makes a file larger than this: what a size alone does is asked by cases of their own.
LARGEST = 2 << 20


def few(rng) -> int:
    """How many changes a case gets: mostly one to three."""
    count = 1
    while count < 12 and rng.random() < 0.45:
        count += 1
    return count


def span(rng, length: int) -> tuple[int, int]:
    """A stretch of a text of that length, mostly short."""
    start = rng.randrange(length + 1)
    most = rng.choice([1, 4, 16, 64, 512, length])
    return start, min(length, start + rng.randint(0, max(1, most)))


def piece(rng) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(tokens.BYTES)
    if kind == 1:
        return rng.choice(tokens.NUMBERS).encode()
    if kind == 2:
        return rng.choice(tokens.PATHS).encode()
    return rng.choice(tokens.TEXTS).encode()


def bytes_(rng, data: bytes, others=()) -> bytes:
    """A few changes that know nothing of the format."""
    data = bytearray(data)
    for _ in range(few(rng)):
        start, end = span(rng, len(data))
        kind = rng.randrange(11)
        if kind <= 2 and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 3 and data:
            data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 4:
            del data[rng.randrange(len(data) + 1) :]
        elif kind == 5:
            del data[start:end]
        elif kind == 6:
            data[end:end] = data[start:end] * rng.choice([1, 1, 2, 50])
        elif kind == 7:
            data[start:start] = piece(rng)
        elif kind == 8:
            new = piece(rng)
            data[start : start + len(new)] = new
        elif kind == 9:
            at, _ = span(rng, len(data))
            chunk = data[start:end]
            del data[start:end]
            data[at:at] = chunk
        elif others:
            other = rng.choice(others)
            at, _ = span(rng, len(other))
            data = data[:start] + other[at:]
        if len(data) > LARGEST:
            del data[LARGEST:]
    return bytes(data)


def text_(rng, text: str) -> str:
    """A few changes of a text that stays a text."""
    for _ in range(few(rng)):
        start, end = span(rng, len(text))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:start] + text[end:]
        elif kind == 1:
            text = text[:start] + rng.choice(tokens.TEXTS) + text[start:]
        elif kind == 2:
            text = rng.choice(tokens.TEXTS + tokens.PATHS + tokens.NUMBERS)
        elif kind == 3:
            text = text[:end] + text[start:end] * rng.choice([1, 2, 300]) + text[end:]
        else:
            text = text[:start] + rng.choice(tokens.NUMBERS) + text[end:]
    return text[:LARGEST]


# ---------------------------------------------------------------- JSON


class Raw(str):
    """JSON that is written as it stands: numbers of any size, and what no parser gives back."""


class Pairs(list):
    """An object as a list of [key, value], so that a key can stand twice."""


def parse(text: str):
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: Pairs([key, value] for key, value in pairs),
        parse_int=Raw,
        parse_float=Raw,
        parse_constant=Raw,
    )


def dump(node, indent: int = 0) -> str:
    """As serde writes it, two blanks a level."""
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, list) and node:
        pad = "\n" + "  " * (indent + 1)
        if isinstance(node, Pairs):
            items = (f"{json.dumps(key)}: {dump(value, indent + 1)}" for key, value in node)
            opening, closing = "{", "}"
        else:
            items = (dump(value, indent + 1) for value in node)
            opening, closing = "[", "]"
        return opening + pad + ("," + pad).join(items) + "\n" + "  " * indent + closing
    return "{}" if isinstance(node, Pairs) else json.dumps(node, ensure_ascii=False)


def places(node, found=None) -> list:
    """Every (container, index) of a tree; for an object the index is that of the pair."""
    found = [] if found is None else found
    if isinstance(node, list):
        for i, child in enumerate(node):
            found.append((node, i))
            places(child[1] if isinstance(node, Pairs) else child, found)
    return found


def get(place):
    container, i = place
    return container[i][1] if isinstance(container, Pairs) else container[i]


def put(place, value) -> None:
    container, i = place
    if isinstance(container, Pairs):
        container[i][1] = value
    else:
        container[i] = value


def odd_value(rng, words=()):
    kind = rng.randrange(6 if words else 4)
    if kind == 0:
        return Raw(rng.choice(tokens.NUMBERS))
    if kind == 1:
        return Raw(rng.choice(tokens.JSON))
    if kind == 2:
        return rng.choice(tokens.PATHS)
    if kind == 3:
        return rng.choice(tokens.TEXTS)
    return Raw(rng.choice(words))


def change_json(rng, tree, words=()) -> None:
    """One change of a tree, in place."""
    # Long lists of numbers would take nearly every draw: the place is drawn level by level.
    found = places(tree)
    if not found:
        return
    place = rng.choice(found)
    if rng.random() < 0.7:
        node = tree
        while isinstance(node, list) and node:
            place = (node, rng.randrange(len(node)))
            node = get(place)
            if rng.random() < 0.25:
                break
    container, i = place
    value = get(place)
    kind = rng.randrange(11)
    if kind <= 2:
        put(place, odd_value(rng, words))
    elif kind == 3:
        del container[i]
    elif kind == 4:
        copy = list(container[i]) if isinstance(container, Pairs) else container[i]
        container[i:i] = [copy] * (rng.choice([1, 1, 2, 400]) if len(found) < 5000 else 1)
    elif kind == 5:
        put(place, deepcopy(get(rng.choice(found))))
    elif kind == 6:
        put(place, Pairs([["a", value]]) if rng.random() < 0.5 else [value, value])
    elif kind == 7 and isinstance(container, Pairs):
        other = rng.choice(found)
        keys = [other[0][other[1]][0]] if isinstance(other[0], Pairs) else ["x"]
        container[i][0] = rng.choice(keys + [text_(rng, container[i][0]), ""])
    elif kind == 8 and isinstance(value, str) and not isinstance(value, Raw):
        put(place, text_(rng, value))
    elif kind == 9 and isinstance(value, Raw):
        digits = value.lstrip("-")
        near = [f"-{digits}", f"{value}0", f"{value}.5", f"{value}e9", f'"{value}"']
        if digits.isdigit() and len(digits) < 20:
            near += [str(int(value) + 1), str(int(value) - 1), str(int(value) * 1000)]
        put(place, Raw(rng.choice(near)))
    else:
        rng.shuffle(container)


def json_(rng, text: str, words=()) -> str:
    """A few changes of a JSON document, now and then some that know nothing of JSON."""
    tree = parse(text)
    if not isinstance(tree, list):
        return text_(rng, text)
    for _ in range(few(rng)):
        change_json(rng, tree, words)
    return dump(tree)[:LARGEST]


# ---------------------------------------------------------------- lines


def lines_(rng, text: str, change_line, most: int = 3000) -> str:
    """A few changes of lines: `change_line(rng, line)` changes one."""
    lines = text.split("\n")
    for _ in range(few(rng)):
        i = rng.randrange(len(lines))
        kind = rng.randrange(10)
        if kind <= 4:
            lines[i] = change_line(rng, lines[i])
        elif kind == 5:
            del lines[i : i + rng.choice([1, 1, 3])]
        elif kind == 6:
            lines[i:i] = lines[i : i + rng.choice([1, 2, 6])] * rng.choice([1, 1, 1, most // 6])
        elif kind == 7:
            j = rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 8:
            lines.insert(i, rng.choice(["", " ", "\t", "\x00", "\ufeff", lines[i][::-1]]))
        else:
            lines[i] = text_(rng, lines[i])
        if not lines:
            lines = [""]
    return "\n".join(lines)[:LARGEST]


def json_line(rng, line: str) -> str:
    try:
        tree = parse(line)
    except (ValueError, RecursionError):
        return text_(rng, line)
    if not isinstance(tree, list):
        return text_(rng, line)
    change_json(rng, tree)
    return dump(tree).replace("\n", " ")


def cell_line(separator: str):
    """Changes one field of a line of separated values."""

    def change(rng, line: str) -> str:
        fields = line.split(separator)
        i = rng.randrange(len(fields))
        kind = rng.randrange(7)
        if kind == 0:
            fields[i] = rng.choice(tokens.TEXTS)
        elif kind == 1:
            fields[i] = '"' + fields[i]
        elif kind == 2:
            fields[i] = '"' + rng.choice(tokens.TEXTS) + '"' + rng.choice(["", " ", "x", '"'])
        elif kind == 3:
            del fields[i]
        elif kind == 4:
            fields[i:i] = [fields[i]] * rng.choice([1, 2, 2000])
        elif kind == 5:
            fields[i] = rng.choice(tokens.NUMBERS)
        else:
            fields[i] = text_(rng, fields[i])
        return separator.join(fields)

    return change


def encoded(rng, text: str) -> bytes:
    """As UTF-8, and now and then as something else."""
    if rng.random() < 0.85:
        return text.encode("utf-8", "surrogatepass")
    name = rng.choice(["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-7"])
    return text.encode(name, "replace")


# ---------------------------------------------------------------- YAML


def yaml_line(keys):
    """Changes one line of a YAML mapping."""

    def change(rng, line: str) -> str:
        indent = line[: len(line) - len(line.lstrip())]
        key, colon, value = line.partition(": ")
        kind = rng.randrange(8)
        if kind <= 2 and colon:
            return f"{key}: {rng.choice(tokens.YAML + tokens.NUMBERS)}"
        if kind == 3 and colon:
            quote = rng.choice(['"', "'"])
            return f"{key}: {quote}{rng.choice(tokens.TEXTS + tokens.PATHS)}{quote}"
        if kind == 4:
            return rng.choice(["", " ", "\t", "  " * 4, " " * 2000]) + line.lstrip()
        if kind == 5 and colon:
            dash = "- " if key.lstrip().startswith("- ") else ""
            return f"{indent}{dash}{rng.choice(keys)}: {value}"
        if kind == 6:
            new = rng.choice(keys + ["x", "'<<'", "<<", '""', "? [a]", "file"])
            return f"{line}\n{indent}{new}: {rng.choice(tokens.YAML)}"
        return line + rng.choice([" # x", ":", ": x", ",", "]", "}", ' "', " '", " |", " >", " &a", " *a", " !x", "\\"])

    return change


def bomb(rng) -> str:
    """Aliases of aliases, wide or deep."""
    wide, deep = rng.choice([(9, 12), (2, 60), (100, 4), (1, 2000)])
    lines = ["b0: &b0 [lol, lol]"]
    for level in range(1, deep):
        lines.append(f"b{level}: &b{level} [{', '.join([f'*b{level - 1}'] * wide)}]")
    return "\n".join(lines) + "\n"


def many_keys(rng) -> str:
    """Very many keys that mean nothing, or nests of them."""
    if rng.random() < 0.5:
        return "".join(f"k{i}: {i}\n" for i in range(rng.choice([500, 8000, 40_000])))
    depth = rng.choice([50, 126, 400])
    return "".join("  " * i + f"k{i}:\n" for i in range(depth))


def yaml_(rng, text: str, keys) -> str:
    """A few changes of a pipeline file."""
    kind = rng.randrange(20)
    if kind == 0:
        text = bomb(rng) + text if rng.random() < 0.5 else text + bomb(rng)
    elif kind == 1:
        text = text + "\n" + many_keys(rng)
    elif kind == 2:
        text = text.replace("\n", rng.choice(["\r\n", "\r", "\x85", "\u2028", "\n\n", "\n \n"]))
    elif kind == 3:
        text = rng.choice(["%YAML 9.9\n---\n", "---\n---\n", "\ufeff", "...\n", "- ", "[", "!x ", "&a ", "? "]) + text
    elif kind == 4:
        big = " ".join(f"{word}-{i}" for i, word in enumerate(["cup"] * rng.choice([200, 20_000])))
        text = text.replace("a cup", big)
    else:
        return lines_(rng, text, yaml_line(keys))
    return text if rng.random() < 0.5 else lines_(rng, text, yaml_line(keys))
