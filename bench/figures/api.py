from bench.rows import Row
from bench.stage import Stage


def api_single(stage: Stage) -> list[Row]:
    return []


def api_batch(stage: Stage) -> list[Row]:
    return []
