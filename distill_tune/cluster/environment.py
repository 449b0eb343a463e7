"""Environment variables for Ray.

Ray reads some of them only when it is imported, so this module does not import it.
"""

import os

from distill_tune.cluster.user_environment import provide_user
from distill_tune.errors import InputError, Parameter

_CLIENT = "ray://"
_ALWAYS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # Ray stores the state of an experiment only at its start and its end, and when a trial has been
    # saved twice: nothing reads it.
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    # When memory is short, kill one worker instead of several at a time.
    "RAY_worker_killing_policy_by_group": "true",
    # Without its GCS, Ray would end this process after a minute, when its calls to the GCS start to
    # fail. The daemon watch interrupts the work that depends on the GCS and keeps the process
    # alive.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
}
_ON_THIS_MACHINE = {
    # Ray's switch for desktops: all its servers bind to the loopback interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A process that is started before there is work for it (WorkersAhead) waits for it this long.
    "RAY_idle_worker_killing_time_threshold_ms": "120000",
}


def prepare(address: str | None) -> None:
    """Set the variables that are not set yet.

    Args:
        address: Address of the cluster to join; None = Ray is started on this machine, for this
            process alone.

    Raises:
        InputError: The address is for Ray's client, through which Tune would run in the cluster and
            leave the study's records there.
    """
    if address is not None and address.startswith(_CLIENT):
        head = address.removeprefix(_CLIENT).rpartition(":")[0] or "HEAD"
        job = f"ray job submit --address http://{head}:8265 --working-dir ."
        run = f"`{job} -- distill-tune ... --address auto`"
        expected = f"auto or HOST:PORT, on a machine of the cluster; from elsewhere: {run}"
        raise InputError(Parameter("address"), got=address, expected=expected)
    for name, value in (_ALWAYS | ({} if address else _ON_THIS_MACHINE)).items():
        os.environ.setdefault(name, value)
    provide_user()
