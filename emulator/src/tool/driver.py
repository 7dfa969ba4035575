"""Runs a piece of code as a notebook does: the value of the last expression is a result."""

import ast
import base64
import json
import os
import sys
import traceback

MIME_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/json": "_repr_json_",
}


def describe(value, main):
    """The value in every form that it knows of itself."""
    forms = {"text/plain": repr(value)}
    for mime, method in MIME_METHODS.items():
        represent = getattr(value, method, None)
        if isinstance(value, type) or not callable(represent):
            continue
        try:
            form = represent()
        except Exception:
            continue
        if isinstance(form, tuple):
            form = form[0]
        if isinstance(form, bytes):
            form = base64.b64encode(form).decode()
        if form is not None:
            forms[mime] = form
    if main:
        forms["isMainResult"] = True
    return forms


def figures():
    """What matplotlib has drawn and nobody has closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    import io

    drawn = []
    for number in pyplot.get_fignums():
        image = io.BytesIO()
        figure = pyplot.figure(number)
        figure.savefig(image, format="png")
        drawn.append({"text/plain": repr(figure), "image/png": base64.b64encode(image.getvalue()).decode()})
    return drawn


def run(source, results):
    namespace = {"__name__": "__main__", "__builtins__": __builtins__}
    namespace["display"] = lambda *values: results.extend(describe(value, False) for value in values)
    sys.modules["__main__"].__dict__.update(namespace)
    namespace = sys.modules["__main__"].__dict__
    tree = ast.parse(source, "<code>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for part, mode in ((tree, "exec"), (last and ast.Expression(last.value), "eval")):
        if not part:
            continue
        value = eval(compile(part, "<code>", mode, flags), namespace)
        if hasattr(value, "send") and hasattr(value, "cr_frame"):
            import asyncio

            value = asyncio.run(value)
        if mode == "eval" and value is not None:
            results.append(describe(value, True))


def own_frames(error):
    """The traceback without the part of this driver and of what it uses; nothing for code that is no Python."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != "<code>":
        frames = frames.tb_next
    return frames


def main():
    folder = sys.argv[1]
    # Who listens hears whole lines, and at once.
    sys.stdout.reconfigure(line_buffering=True)
    with open(os.path.join(folder, "main.py"), encoding="utf-8") as file:
        source = file.read()
    import linecache

    linecache.cache["<code>"] = (len(source), None, source.splitlines(True), "<code>")
    sys.argv = [""]
    sys.path[0] = os.getcwd()
    results, failure, status = [], None, 0
    try:
        run(source, results)
        results.extend(figures())
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status:
            failure = "SystemExit: %s" % (end.code,)
    except BaseException as error:
        failure = "".join(traceback.format_exception(type(error), error, own_frames(error)))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    written = json.dumps({"results": results, "error": failure}, default=repr)
    with open(os.path.join(folder, "result.json"), "w", encoding="utf-8") as file:
        file.write(written)
    sys.exit(status)


main()
