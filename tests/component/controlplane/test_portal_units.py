"""The page of a unit that has more projects than a page of a listing."""

from __future__ import annotations

import re
from typing import Any

from tollway.testkit.portal import signed_in

COUNT = 120
MADE = """
WITH unit AS (INSERT INTO business_units (id, organisation_id, name)
              SELECT gen_random_uuid(), id, 'wide' FROM organisations
              RETURNING id, organisation_id),
projects AS (INSERT INTO projects (id, business_unit_id, name, models)
             SELECT gen_random_uuid(), id, CASE n WHEN 120 THEN 'z-dearest' ELSE 'p-' || lpad(n::text, 3, '0') END,
                    '{*}'
             FROM unit, generate_series(1, 120) n RETURNING id, name),
groups AS (INSERT INTO ledger_groups (id, organisation, business_unit, project, key_id, key_public_id, user_name, model,
                                      provider)
           SELECT gen_random_uuid(), u.organisation_id::text, u.id::text, p.id::text, 'k', 'K', '', p.name, side
           FROM projects p, unit u, (VALUES ('p'), (NULL)) sides (side) RETURNING id, model, provider)
INSERT INTO ledger_days (begins, group_id, requests, cost_nano)
SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', id, CASE WHEN provider IS NULL THEN 3 END,
       CASE WHEN provider IS NULL THEN NULL WHEN model = 'z-dearest' THEN 1000
            ELSE substr(model, 3)::int END * 1000000000::bigint
FROM groups
"""
"""The projects cost 1, 2, ... 119 dollars in the order of their names, and the last one 1,000.

Requests are counted once, and what they cost at the provider that was asked.
"""


async def test_a_unit_of_more_projects_than_a_page_is_shown_whole(api: Any) -> None:
    await api.sql(MADE)
    async with signed_in(api.plane) as person:
        status, text, _ = await person.get("/units/wide/costs")
    assert status == 200
    whole = sum(range(1, COUNT)) + 1000
    assert f"<dd>${whole:,}.00</dd>" in text  # the total is that of all of them
    assert f"<dd>{3 * COUNT}</dd>" in text
    table = text[text.index("<h2>By project</h2>") :]
    assert re.findall(r'<th scope="row"><a href="/projects/([^"]+)"', table)[:3] == ["z-dearest", "p-119", "p-118"]
    assert len(re.findall(r'<th scope="row"><a href="/projects/', table)) == 100
    drawn = re.findall(r"<g><title>([^:<]+): (\$[0-9.,]+)</title>", table)
    assert (len(drawn), drawn[:2]) == (20, [("z-dearest", "$1,000.00"), ("p-119", "$119.00")])
    assert f"The 100 dearest of {COUNT}" in table
