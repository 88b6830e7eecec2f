"""`take_calls(keys, sizes, spare, taking)`: how many of the first calls may begin now, by every bucket of `keys` that there is.

The rows are locked first, in the order given, and the clock is read after. Where `taking`, what the calls carry is taken out
of each bucket; else nothing changes. The first bucket keeps `spare` back. A call larger than a bucket ever holds goes when that
is full, alone, and leaves a debt: the rate is kept, not the burst. What is taken and never used is lost.
"""

from django.db import migrations

CREATE = """
DROP FUNCTION take_tokens(text, integer, integer);
CREATE FUNCTION take_calls(keys text[], sizes integer[], spare integer DEFAULT 0, taking boolean DEFAULT true)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    held ums_channels_ratebucket%ROWTYPE;
    moment timestamptz;
    kept double precision := greatest(0, spare);  -- by the bucket at hand
    levels double precision[] := '{}';
    open boolean[] := '{}';  -- whether it is as full as it gets for these calls
    moments timestamptz[] := '{}';
    found_keys text[] := '{}';
    allowed integer := 0;
    used integer := 0;
    wanted_key text;
BEGIN
    FOREACH wanted_key IN ARRAY keys LOOP
        IF taking THEN
            SELECT * INTO held FROM ums_channels_ratebucket WHERE key = wanted_key FOR UPDATE;
        ELSE
            SELECT * INTO held FROM ums_channels_ratebucket WHERE key = wanted_key;
        END IF;
        IF FOUND THEN  -- no row: no limit
            moment := greatest(clock_timestamp(), held.refilled_at);  -- never step back
            held.tokens := least(held.burst, held.tokens + held.rate * extract(epoch FROM moment - held.refilled_at));
            found_keys := found_keys || wanted_key;
            moments := moments || moment;
            levels := levels || held.tokens - least(kept, held.burst - 1);
            open := open || (held.tokens >= held.burst);
        END IF;
        kept := 0;
    END LOOP;
    FOR number IN 1 .. cardinality(sizes) LOOP
        EXIT WHEN EXISTS (SELECT FROM unnest(levels, open) AS b(level, is_full)
                          WHERE used + sizes[number] > level AND NOT (used = 0 AND is_full));
        used := used + sizes[number];
        allowed := number;
    END LOOP;
    IF taking AND used > 0 THEN
        FOR number IN 1 .. cardinality(found_keys) LOOP
            UPDATE ums_channels_ratebucket b
            SET tokens = least(b.burst, b.tokens + b.rate * extract(epoch FROM moments[number] - b.refilled_at)) - used,
                refilled_at = moments[number]
            WHERE key = found_keys[number];
        END LOOP;
    END IF;
    RETURN allowed;
END $$;
"""
BEFORE = """
DROP FUNCTION take_calls(text[], integer[], integer, boolean);
CREATE FUNCTION take_tokens(wanted_key text, want integer, spare integer DEFAULT 0) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    held ums_channels_ratebucket%ROWTYPE;
    moment timestamptz;
    granted integer;
BEGIN
    SELECT * INTO held FROM ums_channels_ratebucket WHERE key = wanted_key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN want;
    END IF;
    moment := greatest(clock_timestamp(), held.refilled_at);
    held.tokens := least(held.burst, held.tokens + held.rate * extract(epoch FROM moment - held.refilled_at));
    granted := greatest(0, least(want, floor(held.tokens - greatest(0, least(spare, held.burst - 1)))::integer));
    UPDATE ums_channels_ratebucket SET tokens = held.tokens - granted, refilled_at = moment WHERE key = wanted_key;
    RETURN granted;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("ums_channels", "0008_spare_tokens")]

    operations = [migrations.RunSQL(CREATE, BEFORE)]
