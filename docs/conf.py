"""How the reading site looks and what it links; ``tools/build_site.py`` lays out its pages."""

from __future__ import annotations

import builtins
import operator
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

import imnetlib

project = "Training on ImageNet at its real size"
html_title = "ImageNet at its real size"
author = "the contributors of imnetlib"
copyright = author
version = release = imnetlib.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_codeautolink"]
exclude_patterns = ["README.md", "figures"]
suppress_warnings = ["config.cache"]  # codeautolink keeps a function there

# What the chapters have stored is shown; widgets would ask a server elsewhere for scripts.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, Any] = {}
nb_output_stderr = "show"
nb_merge_streams = True
nb_render_markdown_format = "gfm"
myst_heading_anchors = 3
# Anchors as JupyterLab makes them: the quiz links sections. Sphinx pickles the function.
myst_heading_slug_func = operator.methodcaller("replace", " ", "-")

# It is in no lock; the site looks the same with and without it.
autodoc_mock_imports = ["torch"]
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# Chapters are Python; a name in one leads to its entry, and the entry lists the chapters.
codeautolink_custom_blocks = {"ipython3": "sphinx_codeautolink.clean_ipython"}
codeautolink_concat_default = True
codeautolink_autodoc_inject = True
codeautolink_warn_on_missing_inventory = False
codeautolink_warn_on_failed_resolve = False

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
templates_path = ["_templates"]
# Pages without pages below them need no list of those.
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("glossary", "practice", "claims", "measured", "commands")
}
html_css_files = ["course.css"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": html_title},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "article_header_end": ["ways-to-run.html"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

_CHAPTER = re.compile(r"\bchapters?\s+\d+(?:(?:, | and | to | or )\d+)*")
_METHODS = (property, classmethod, staticmethod)
_ARRAY = re.compile(r"~?numpy\.ndarray\[\(?~?typing\.Any, ~?numpy\.dtype\[(.*?)\]\]")


class ChapterLinks(SphinxTransform):  # type: ignore[misc]
    """Lead from "(chapter 4)" in a docstring to that chapter."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Replace the numbers in the text of an API page; in code they stay."""
        if not self.env.docname.startswith("api/"):
            return
        chapters = {
            int(Path(name).name[:2]): name
            for name in self.env.found_docs
            if name.startswith("notebooks/")
        }
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, nodes.literal | nodes.literal_block | nodes.reference):
                continue
            parts = linked(str(text), chapters)
            if len(parts) > 1:
                text.parent.replace(text, parts)


def linked(text: str, chapters: dict[int, str]) -> list[nodes.Node]:
    """``text`` with a reference in place of each number of a chapter that it names."""
    parts: list[nodes.Node] = []
    end = 0
    for named in _CHAPTER.finditer(text):
        for number in re.finditer(r"\d+", named[0]):
            chapter = chapters.get(int(number[0]))
            if chapter is None:
                continue
            start = named.start() + number.start()
            parts.append(nodes.Text(text[end:start]))
            end = start + len(number[0])
            parts.append(
                addnodes.pending_xref(
                    "",
                    nodes.inline("", number[0]),
                    refdomain="std",
                    reftype="doc",
                    reftarget=f"/{chapter}",
                    refexplicit=True,
                    refwarn=True,
                )
            )
    return [*parts, nodes.Text(text[end:])]


def with_short_types(
    app: Sphinx,
    what: str,
    name: str,
    member: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write ``PathLike`` and ``NDArray``, as the source does, not what they stand for."""

    def short(text: str | None) -> str | None:
        plain = (
            (text or "").replace("str | ~os.PathLike[str]", "PathLike").replace("<factory>", "...")
        )
        return text and _ARRAY.sub(r"NDArray[\1]", plain)

    return short(signature), short(returned)


def without_builtins(app: Sphinx, document: nodes.document) -> None:
    """Keep ``bytes`` in a signature from leading to a field of that name."""
    for reference in list(document.findall(addnodes.pending_xref)):
        if reference.get("refdomain") == "py" and hasattr(builtins, reference["reftarget"]):
            reference.replace_self(nodes.Text(reference["reftarget"]))


def is_said_elsewhere(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a face has from another room, where it is described, and bare fields.

    A class's signature and its text tell of its fields.
    """
    if what in ("class", "exception") and not (callable(member) or isinstance(member, _METHODS)):
        return True
    module = app.env.temp_data.get("autodoc:module", "")
    home = getattr(member, "__module__", None) or ""
    return True if home.startswith("imnetlib.") and not home.startswith(module) else None


def with_plain_summary(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Head an entry's list of chapters; codeautolink puts a link there, in what opens the list."""
    for summary in document.findall(lambda node: type(node).__name__ == "SummaryNode"):
        summary[:] = [nodes.Text("Used in")]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_transform(ChapterLinks)
    app.connect("autodoc-skip-member", is_said_elsewhere)
    app.connect("autodoc-process-signature", with_short_types)
    app.connect("doctree-resolved", with_plain_summary, priority=900)
    app.connect("doctree-read", without_builtins)
