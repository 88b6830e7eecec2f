"""A campaign may have a cost ceiling, and a plan of its own to be compared with."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0010_first_versions"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="baseline_code",
            field=models.CharField(db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="campaign",
            name="cost_ceiling",
            field=models.DecimalField(
                blank=True,
                decimal_places=5,
                help_text="Of the whole campaign.",
                max_digits=14,
                null=True,
                verbose_name="cost ceiling",
            ),
        ),
    ]
