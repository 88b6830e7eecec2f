"""Every policy that stands becomes its own first version."""

from django.db import migrations

FIRST = """
INSERT INTO campaigns_policyversion (policy_id, number, name, plan, saved_by, saved_at, note)
SELECT id, 1, name, plan, '', updated_at, '' FROM campaigns_policy WHERE number = 0;
UPDATE campaigns_policy SET number = 1 WHERE number = 0;
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0009_smart")]

    operations = [migrations.RunSQL(FIRST, migrations.RunSQL.noop)]
