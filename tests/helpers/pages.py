"""Pages in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]


def note_errors(page: Page, errors: list[str]) -> None:
    """From now on, append to *errors* those of scripts on *page*, and of the Content-Security-Policy."""
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))


NAMES = ".listing .name"


def listed(page: Page, *names: str) -> None:
    """Wait until the listing has these names: a page that a click leads to is there, but not yet all of it."""
    from playwright.sync_api import expect

    expect(page.locator(NAMES)).to_have_text(list(names))


def said(page: Page, text: str) -> None:
    """Wait until the page says that something was done."""
    from playwright.sync_api import expect

    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


_CONTRASTS = """root => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const seen = {};
    const rgba = (colour) => seen[colour] ??= drawn(colour);
    const drawn = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    };
    const over = ([...above], below) => below.map((part, index) => index < 3
        ? above[index] * above[3] + part * (1 - above[3]) : 1);
    const ground = (element) => element
        ? over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255, 1];
    const light = ([...parts]) => parts.slice(0, 3).map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const found = {};
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const [element, text] = [texts.currentNode.parentElement, texts.currentNode.data.trim()];
        if (!text || !element.checkVisibility({visibilityProperty: true}) || element.closest("datalist")) continue;
        const behind = ground(element);
        const pair = [light(over(rgba(getComputedStyle(element).color), behind)), light(behind)].sort((a, b) => b - a);
        found[text] = Math.min(found[text] ?? 21, (pair[0] + 0.05) / (pair[1] + 0.05));
    }
    return found;
}"""


def contrasts(page: Page, selector: str = ".fgp") -> dict[str, float]:
    """The contrast of each text in these elements (WCAG 2.2, section 1.4.3), by the colours that are computed."""
    found: dict[str, float] = {}
    for root in page.locator(selector).all():
        for text, ratio in root.evaluate(_CONTRASTS).items():
            found[text] = min(ratio, found.get(text, 21))
    return found


def styles(page: Page, selector: str) -> list[dict[str, str]]:
    """What the browser computed for each of these elements, without what follows from their sizes."""
    return page.eval_on_selector_all(  # type: ignore[no-any-return]
        selector,
        """elements => elements.map(element => {
            const style = getComputedStyle(element);
            const sized = /^--|size$|width$|height$|origin$|inset|^(top|left|right|bottom)$/;
            const unset = /^(none|auto|normal|0px|0s|start|initial|visible|rgba\\(0, 0, 0, 0\\))$/;
            const wide = /[0-9]{3}(\\.[0-9]+)?px/; // an automatic margin, or a column
            const found = [...style].filter(name => !sized.test(name)).map(name => [name, style[name]]);
            const parts = ["::before", "::after"].map(part => [part, getComputedStyle(element, part).content]);
            const set = [...found, ...parts].filter(([, value]) => !unset.test(value) && !wide.test(value));
            return {...Object.fromEntries(set), class: element.className};
        })""",
    )
