"""Many streams at once, while the upstream fails and the process with the models is killed."""

import pytest
from served_squads import serve_squad
from soak import Load, run_soak

from aligners.serving.options import OnError


@pytest.mark.parametrize("mode", ["original", "refuse"])
@pytest.mark.parametrize("stream_share", [1.0, 0.0])
def test_every_request_is_answered_rightly_or_in_the_chosen_mode(
    mode: OnError, stream_share: float
) -> None:
    load = Load(requests=200, kills=4, stream_share=stream_share)
    with serve_squad(on_error=mode, timeout=20.0) as served:
        outcomes = run_soak(served, load)
        assert outcomes.pop("kills") == load.kills
        assert outcomes.total() == load.requests
        assert outcomes["corrected"] > 20
        assert outcomes["unchanged"] > 20
        assert sum(n for name, n in outcomes.items() if name.startswith("upstream")) > 30
        failed = "refused" if mode == "refuse" else "failed"
        counted = sum(
            served.metric(f'aligners_failures_total{{cause="{cause}",mode="{mode}"}}')
            for cause in ("model_process", "timeout", "squad_error", "overload")
        )
        assert counted == outcomes[failed]
        assert not served.service.squad.pending
        assert served.metric("aligners_requests_in_progress") == 1  # that of /metrics
