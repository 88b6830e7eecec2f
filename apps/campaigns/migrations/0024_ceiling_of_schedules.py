"""What each campaign of a schedule may cost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0023_who_wrote_a_schedule")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="cost_ceiling",
            field=models.DecimalField(
                blank=True,
                decimal_places=5,
                help_text="Of each campaign.",
                max_digits=14,
                null=True,
                verbose_name="cost ceiling",
            ),
        ),
    ]
