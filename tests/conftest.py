"""Two CPU devices for all tests, and programs compiled quickly: they run once each."""

import os

os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=2",
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
)

collect_ignore = ["train/eight_devices.py"]  # a program of its own, which wants eight
