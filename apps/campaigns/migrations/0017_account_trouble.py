"""Since when an account cannot be called: what failover between the vendors of a channel goes by."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0016_approval_and_forecasts")]

    operations = [
        migrations.CreateModel(
            name="AccountTrouble",
            fields=[
                ("account_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("since", models.DateTimeField()),
            ],
        ),
    ]
