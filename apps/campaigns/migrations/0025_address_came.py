"""An address that comes wakes what is kept for its person also where that is due already.

Who releases at that moment does not see the address yet, and would let the message rest until the next one. So the kept rows
are locked until the address is committed, in their order; releasing passes over locked ones and finds them due afterwards.
"""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION campaigns_address_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE campaigns_savedmessage s SET due_at = now() FROM (
        SELECT k.message_id FROM campaigns_savedmessage k
        JOIN (SELECT DISTINCT recipient_id FROM came WHERE state = 'ACTIVE' AND recipient_id IS NOT NULL) n
          ON n.recipient_id = k.recipient_id
        WHERE k.state = 'SAVED'{only} ORDER BY k.message_id FOR UPDATE OF k
    ) held WHERE s.message_id = held.message_id;
    RETURN NULL;
END $$;
"""
BEFORE = " AND (k.due_at IS NULL OR k.due_at > now())"


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0024_ceiling_of_schedules")]

    operations = [migrations.RunSQL(FUNCTION.format(only=""), FUNCTION.format(only=BEFORE))]
