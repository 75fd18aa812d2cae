"""What a load costs the shipper."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.shipper_process import ShipperProcess


@dataclass(frozen=True)
class Cost:
    """What a load cost the shipper."""

    records: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    answer_ms: float
    answer_p99_ms: float

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_per_million(self) -> float:
        return self.cpu_seconds / self.records * 1e6


def send(shipper: ShipperProcess, corpus: Path, rate: float = 0) -> Cost:
    """Send a file of records over RELP, as fast as they are acknowledged or at a rate, and measure."""
    before = shipper.cpu()
    sender = [sys.executable, "-m", "tests.bench.relp_sender", str(shipper.port), str(corpus), str(rate)]
    output = subprocess.run(sender, check=True, capture_output=True, text=True).stdout
    records, seconds, median, p99 = output.split()
    return Cost(int(records), float(seconds), shipper.cpu() - before, shipper.peak_mb(), float(median), float(p99))
