"""Large numbers in few characters."""

import math

PREFIXES = " kMGTPE"


def brief(number: float, unit: str = "") -> str:
    """A number to three digits with a decimal prefix.

    Example:
      >>> brief(999), brief(1_234), brief(25_600_000, "B"), brief(0, "B"), brief(0.5)
      ('999', '1.23 k', '25.6 MB', '0 B', '0.5')
    """
    step = 0 if abs(number) < 1000 else min(int(math.log10(abs(number)) // 3), 6)
    text = f"{number / 1000**step:.3g}"
    if text == "1e+03":  # 999.6 thousand is a million
        step, text = step + 1, "1"
    return f"{text} {PREFIXES[step].strip()}{unit}".rstrip()
