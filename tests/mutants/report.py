"""Plants every bug and prints which net caught it: `make mutants`."""

import sys
import time

import bugs_attention
import bugs_chance
import bugs_conv
import bugs_losses
import bugs_norm
import bugs_recurrent
import bugs_training
from suite import judge

MODULES = [
    bugs_norm,
    bugs_attention,
    bugs_chance,
    bugs_conv,
    bugs_recurrent,
    bugs_losses,
    bugs_training,
]
FAMILIES = [family for module in MODULES for family in module.FAMILIES]


def main() -> int:
    started, lines, alarms = time.process_time(), {}, 0
    for family in FAMILIES:
        right = judge(family)
        if right.caught:
            alarms += 1
            print(f"false alarm: {family.make.__name__}: {right}")
        lines |= {bug: (what, judge(family, bug)) for bug, what in family.bugs.items()}
    for bug, (what, verdict) in sorted(lines.items()):
        net = ", ".join(verdict.laws) or "-"
        print(f"{bug}  {what:<72} {'defined' if verdict.definition else '-':<8} {net}")
    verdicts = [verdict for _, verdict in lines.values()]
    caught, by_laws = sum(v.caught for v in verdicts), sum(bool(v.laws) for v in verdicts)
    print(
        f"{caught} of {len(verdicts)} caught, {by_laws} of them by properties alone, "
        f"{alarms} false alarms on {len(FAMILIES)} correct twins, "
        f"{time.process_time() - started:.0f} s of CPU"
    )
    return int(caught < len(verdicts) or alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
