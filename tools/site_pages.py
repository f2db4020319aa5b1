"""MkDocs hook: what lies outside docs/ and is linked from there becomes part of the site.

The README is the home page. A Markdown file is a page, a source file is shown as it is, a notebook
cell by cell, a folder as a list of its files. Links keep the form that GitHub follows; here they
are turned to those pages. A link to what does not exist stays as it is, and fails the build.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NAMED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/quickstart.ipynb": "quickstart.md",
}
"""Files with a place in the navigation; all others are below source/"""
FENCED = re.compile(r"(^(`{3,}).*?^\2$)", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#\s])")
LANGUAGES = {".py": "python", ".json": "json", ".toml": "toml", ".yml": "yaml"}


def place(path: Path) -> str:
    """Where in the site a file of the repository is."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return NAMED.get(name) or f"source/{name.removesuffix('.md')}.md"


def in_prose(change: Callable[[str], str], markdown: str) -> str:
    """Change what is outside of fenced blocks."""
    parts = FENCED.split(markdown)  # prose, block, its fence, prose, …
    return "".join(
        change(part) if i % 3 == 0 else part for i, part in enumerate(parts) if i % 3 != 2
    )


def linked(markdown: str, path: Path) -> list[Path]:
    """Files outside docs/ that a page links to, and that exist."""
    found: list[Path] = []
    in_prose(lambda text: found.extend(_targets(text, path)) or text, markdown)
    return found


def turned(markdown: str, path: Path, page: str) -> str:
    """A page with its links turned to where the site has them."""

    def turn(match: re.Match[str]) -> str:
        target = _target(match[0], path)
        if target is None:
            return match[0]
        return os.path.relpath(place(target), os.path.dirname(page) or ".")

    return in_prose(lambda text: LINK.sub(turn, text), markdown)


def shown(path: Path) -> str:
    """A file outside docs/ as Markdown."""
    name = path.relative_to(ROOT).as_posix()
    if path.suffix == ".md":
        return path.read_text()
    if path.suffix == ".ipynb":
        return notebook(json.loads(path.read_text()))
    head = f"---\ntitle: {name}\nsearch:\n  exclude: true\n---\n\n# `{name}`\n\n"
    if path.is_dir():
        return head + "\n".join(f"- `{item.name}`" for item in sorted(path.glob("[!._]*")))
    language = LANGUAGES.get(path.suffix, "text")
    return f'{head}````{language} linenums="1"\n{path.read_text()}\n````\n'


def notebook(content: dict[str, Any]) -> str:
    """The cells of a notebook, and the text that they printed."""
    parts = []
    for cell in content["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        printed = "".join(
            "".join(output.get("text", "")) for output in cell.get("outputs", [])
        ).rstrip()
        parts += [f"```text\n{printed}\n```"] if printed else []
    return "\n\n".join(parts)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    waiting = [ROOT / name for name in NAMED if (ROOT / name).exists()]
    for file in files.documentation_pages():
        waiting += linked(Path(file.abs_src_path).read_text(), Path(file.abs_src_path))
    done: dict[Path, str] = {}
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done[path] = place(path)
        files.append(File.generated(config, place(path), content=shown(path)))
        if path.suffix == ".md":
            waiting += linked(path.read_text(), path)
    config.extra["outside"] = {uri: path for path, uri in done.items()}
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn the page's links."""
    uri = page.file.src_uri
    path = config.extra["outside"].get(uri, DOCS / uri)
    return turned(markdown, path, uri) if path.suffix in (".md", ".ipynb") else markdown


def _target(link: str, path: Path) -> Path | None:
    """The file that a link means, if the site has to turn to it."""
    if re.match(r"\w+:", link):
        return None
    target = Path(os.path.normpath(path.parent / link))
    inside = path.is_relative_to(DOCS) and target.is_relative_to(DOCS)
    return target if not inside and target.is_relative_to(ROOT) and target.exists() else None


def _targets(text: str, path: Path) -> list[Path]:
    found = (_target(link, path) for link in LINK.findall(text))
    return [target for target in found if target and not target.is_relative_to(DOCS)]
