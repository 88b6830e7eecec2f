"""Every account that stands already has had its price since it was made."""

from django.db import migrations

FIRST_PRICES = """
INSERT INTO ums_channels_accountprice (account_id, price, valid_from, note)
SELECT id, price, created_at, '' FROM ums_channels_channelaccount
"""


class Migration(migrations.Migration):
    dependencies = [("ums_channels", "0004_prices_and_templates")]

    operations = [migrations.RunSQL(FIRST_PRICES, migrations.RunSQL.noop)]
