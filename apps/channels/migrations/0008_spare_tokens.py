"""`take_tokens(key, want, spare)`: what it leaves in the bucket is for whoever may not wait."""

from django.db import migrations

CREATE = """
DROP FUNCTION take_tokens(text, integer);
CREATE FUNCTION take_tokens(wanted_key text, want integer, spare integer DEFAULT 0) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    held ums_channels_ratebucket%ROWTYPE;
    moment timestamptz;
    granted integer;
BEGIN
    SELECT * INTO held FROM ums_channels_ratebucket WHERE key = wanted_key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN want;  -- no row: no limit
    END IF;
    moment := greatest(clock_timestamp(), held.refilled_at);  -- never step back
    held.tokens := least(held.burst, held.tokens + held.rate * extract(epoch FROM moment - held.refilled_at));
    granted := greatest(0, least(want, floor(held.tokens - greatest(0, least(spare, held.burst - 1)))::integer));
    UPDATE ums_channels_ratebucket SET tokens = held.tokens - granted, refilled_at = moment WHERE key = wanted_key;
    RETURN granted;
END $$;
"""
BEFORE = """
DROP FUNCTION take_tokens(text, integer, integer);
CREATE FUNCTION take_tokens(wanted_key text, want integer) RETURNS integer LANGUAGE plpgsql AS $$
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
    granted := greatest(0, least(want, floor(held.tokens)::integer));
    UPDATE ums_channels_ratebucket SET tokens = held.tokens - granted, refilled_at = moment WHERE key = wanted_key;
    RETURN granted;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("ums_channels", "0007_prices_by_class")]

    operations = [migrations.RunSQL(CREATE, BEFORE)]
