"""Hooks of the documentation site: files of the repository outside docs/ that its pages link to become pages of it.

schemas/CERTIFICATE.md is the page format.md, other Markdown keeps its text, source files are shown as code, folders as
lists, anything else is copied. Links to them are rewritten as mkdocs reads a page; a link to a file that does not exist
is left alone, and fails the build as every broken link does. Pictures are put into the page, to take its colours, and
formulas become MathML, which browsers typeset by themselves: no script, and nothing to load.
"""

import html
import os
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = {"schemas/CERTIFICATE.md": "format.md", "schemas/certificate-v1.schema.json": "certificate-v1.schema.json"}
LANGUAGES = {".py": "python", ".toml": "toml", ".txt": "text", ".yml": "yaml", "": "make"}
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(#[^)\s]*)?(?=\))")
PICTURE = re.compile(r"!\[([^\]]*)\]\((assets/[\w-]+\.svg)\)")
MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
FENCE = re.compile(r"^ *(```|~~~)")
CODE = re.compile(r"(```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+(?:\n[^`\n]+)*`|^ {4}[^\n]*$)", re.DOTALL | re.MULTILINE)
INDEX = re.compile(r"(?<=[\w\]])\[[^\]\s]*\](?=\[)")  # as in masks[m][q], which looks like a link to q


def site_path(path: str) -> str:
    """Where a file or folder of the repository is in the site's sources."""
    if path == "docs" or path.startswith("docs/"):
        return posixpath.relpath(path, "docs")
    if path in ALWAYS:
        return ALWAYS[path]
    if (ROOT / path).is_dir():
        return f"repository/{path}/index.md"
    if path.endswith(".md"):
        return f"repository/{path}"
    return f"repository/{path}" + (".md" if Path(path).suffix in LANGUAGES else "")


def targets(text: str, folder: str) -> set[str]:
    """Files and folders of the repository outside docs/ to which a page of this folder links."""
    found = {posixpath.normpath(posixpath.join(folder, match[1])) for match in LINK.finditer(prose(text))}
    return {p for p in found if not p.startswith(("..", "/", "docs")) and (ROOT / p).exists() and p != "."}


def prose(text: str) -> str:
    """The text without its fenced code."""
    kept, inside = [], False
    for line in text.split("\n"):
        inside ^= bool(FENCE.match(line))
        kept.append("" if inside else line)
    return "\n".join(kept)


def shown(path: str) -> str | None:
    """The page of a file or folder; None if it is to be copied as it is."""
    file = ROOT / path
    if file.is_dir():
        names = sorted(p.name for p in file.iterdir() if p.is_file() and p.suffix in LANGUAGES and p.suffix)
        return f"# {path}/\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    if path.endswith(".md"):
        return file.read_text(encoding="utf-8")
    if file.suffix in LANGUAGES:
        return f"# {path}\n\n````{LANGUAGES[file.suffix]}\n{file.read_text(encoding='utf-8')}````\n"
    return None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to, and what that links to."""
    config["repository_folders"] = folders = {}
    todo = set(ALWAYS)
    for file in files.documentation_pages():
        folders[file.src_uri] = folder = posixpath.join("docs", posixpath.dirname(file.src_uri)).rstrip("/")
        todo |= targets(file.content_string, folder)
    done: set[str] = set()
    while todo:
        path = todo.pop()
        done.add(path)
        text, place = shown(path), site_path(path)
        if text is None:
            files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
            continue
        folders[place] = path if (ROOT / path).is_dir() else posixpath.dirname(path)
        files.append(File.generated(config, place, content=text))
        todo |= targets(text, folders[place]) - done
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to files outside docs/; lists, tables and indices as Python-Markdown wants them; pictures."""
    here = page.file.src_uri
    folder = config["repository_folders"][here]

    def link(match: re.Match[str]) -> str:
        path, fragment = posixpath.normpath(posixpath.join(folder, match[1])), match[2] or ""
        place = site_path(path)
        if match[1].startswith("/") or files.get_file_from_path(place) is None:
            return match[0]
        code = place.startswith("repository/") and not path.endswith(".md")  # it has no headings to point to
        return posixpath.relpath(place, posixpath.dirname(here) or ".") + ("" if code else fragment)

    lines, inside = [], False
    for line in markdown.split("\n"):
        inside ^= bool(FENCE.match(line))
        lines.append(line if inside else LINK.sub(link, line))
    parts = CODE.split("\n".join(nested(lines)))  # what is at odd places is code, or a formula
    for place, part in enumerate(parts):
        if not place % 2:
            parts[place] = INDEX.sub(lambda match: f"\\{match[0][:-1]}\\]", part)
        elif not part.startswith("$"):
            parts[place] = part.replace("\\|", "|")
    text = "".join(parts)
    return PICTURE.sub(lambda match: picture(Path(config.docs_dir) / match[2], match[1]), text)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Typeset the formulas."""

    def typeset(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        return f'<{match[1]} class="formula">{convert(html.unescape(match[2]).strip(), display=display)}</{match[1]}>'

    return MATH.sub(typeset, content)


def nested(lines: list[str]) -> list[str]:
    """What belongs to a list item, indented by two or three columns as Markdown allows, indented by four or more."""
    result, item = [], 0  # item: columns at which the text of the open list item starts
    for line in lines:
        if opening := re.match(r"([-*]|\d+\.) +", line):
            item = len(opening[0])
        elif line and not line.startswith(" " * max(item, 1)):
            item = 0
        result.append(" " * (4 - item) + line if item and line and not opening and item < 4 else line)
    return result


def picture(file: Path, caption: str) -> str:
    """An SVG file as part of the page."""
    svg = re.sub(r"\n\s*", "", file.read_text(encoding="utf-8"))
    return f'<figure class="picture">{svg}<figcaption>{caption}</figcaption></figure>'


def on_post_build(config: MkDocsConfig) -> None:
    """Nothing that only the build needs is part of the site."""
    for name in ("sitemap.xml", "sitemap.xml.gz"):  # without an address of the site they are empty
        if os.path.exists(path := os.path.join(config.site_dir, name)):
            os.remove(path)
