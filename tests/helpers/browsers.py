"""The browser that opens pages in the tests, how it is started, and what it can look at."""

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM = CHROMIUM or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Colours that are too close to what is behind them. Given are parts of the page, each with the
# property that has the colour and the least contrast: 3 for drawings and borders, 4.5 for text.
FAINT = """(checks) => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = parts(colour).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = e => {
        for (; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((parts(colour)[3] ?? 1) === 1) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = (one, other) => {
        const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    };
    const found = [];
    for (const [selector, property, least] of checks) {
        const all = document.querySelectorAll(selector);
        if (!all.length) found.push(`${selector} is missing`);
        for (const e of all) {
            const style = getComputedStyle(e);
            const value = contrast(style[property], behind(e));
            if (value < least) found.push(`${selector} ${style[property]} ${value.toFixed(1)}`);
        }
    }
    return found;
}"""
# The given controls that look the same with the focus of the keyboard and without it.
UNSEEN = """(controls) => [...document.querySelectorAll(controls)]
    .filter(e => e.getClientRects().length).filter(e => {
        const look = () => [e, ...e.children].map(part => {
            const style = getComputedStyle(part);
            return [style.outlineStyle, style.outlineWidth, style.strokeWidth].join();
        }).join();
        document.activeElement.blur();
        const before = look();
        e.focus({focusVisible: true});
        return look() === before;
    }).map(e => e.outerHTML.slice(0, 90))"""
# The given controls that are too small for a finger.
SMALL = """(controls) => [...document.querySelectorAll(controls)]
    .map(e => [e.getBoundingClientRect(), e.outerHTML.slice(0, 90)])
    .filter(([box]) => box.width && (box.width < 24 || box.height < 24)).map(([, text]) => text)"""
