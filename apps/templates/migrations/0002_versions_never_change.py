"""A published template version refuses update and delete, whoever asks."""

from django.db import migrations

CREATE = """
CREATE TRIGGER versions_never_change BEFORE UPDATE OR DELETE ON templates_templateversion
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("templates", "0001_initial"), ("operators", "0002_audit_is_append_only")]

    operations = [migrations.RunSQL(CREATE, "DROP TRIGGER versions_never_change ON templates_templateversion;")]
