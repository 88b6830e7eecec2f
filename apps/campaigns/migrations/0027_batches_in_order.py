"""Ready batches are found in the order in which they are leased: a lease reads one row, not every batch that is due."""

from django.db import migrations, models
from django.db.models import Q

FIELDS = ["lane", "-priority", "not_before", "id"]


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0026_what_calls_add_up_to")]

    operations = [
        migrations.RemoveIndex(model_name="batch", name="batch_ready"),
        migrations.AddIndex(
            model_name="batch", index=models.Index(fields=FIELDS, name="batch_ready", condition=Q(state="READY"))
        ),
    ]
