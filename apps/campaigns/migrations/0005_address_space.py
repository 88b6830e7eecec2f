"""When each address was written to over an account whose provider limits messages to one address."""

from django.db import migrations

CREATE = """
CREATE TABLE campaigns_addressuse (
    account_id bigint NOT NULL,
    address_hash bytea NOT NULL,
    times timestamptz[] NOT NULL,
    PRIMARY KEY (account_id, address_hash)
) WITH (fillfactor = 70);

-- When the next message may go, given the times of those before (oldest first): in any span of `per`, at most `count`.
CREATE FUNCTION next_space(times timestamptz[], counts integer[], pers interval[]) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(max(times[cardinality(times) - l.count + 1] + l.per), '-infinity')
    FROM unnest(counts, pers) AS l(count, per) WHERE cardinality(times) >= l.count
$$;
"""
DROP = """
DROP FUNCTION next_space(timestamptz[], integer[], interval[]);
DROP TABLE campaigns_addressuse;
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0004_provider_ids")]

    operations = [migrations.RunSQL(CREATE, DROP)]
