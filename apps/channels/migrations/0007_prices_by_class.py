"""Prices for one class of messages; accounts say whether they bill what was reported as failed."""

from django.db import migrations, models

KEEP = """
CREATE OR REPLACE FUNCTION keep_past_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.valid_from <= now() THEN
            RAISE EXCEPTION 'a price that has been in force is never deleted' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.account_id, OLD.message_class, OLD.price, OLD.valid_from)
       IS DISTINCT FROM (NEW.account_id, NEW.message_class, NEW.price, NEW.valid_from)
       OR (OLD.valid_to < now() AND OLD.valid_to IS DISTINCT FROM NEW.valid_to) OR NEW.valid_to < now() THEN
        RAISE EXCEPTION 'a price is never changed, and it ends now or later' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
KEPT = """
CREATE OR REPLACE FUNCTION keep_past_prices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.valid_from <= now() THEN
            RAISE EXCEPTION 'a price that has been in force is never deleted' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (OLD.account_id, OLD.price, OLD.valid_from) IS DISTINCT FROM (NEW.account_id, NEW.price, NEW.valid_from)
       OR (OLD.valid_to < now() AND OLD.valid_to IS DISTINCT FROM NEW.valid_to) OR NEW.valid_to < now() THEN
        RAISE EXCEPTION 'a price is never changed, and it ends now or later' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ums_channels", "0006_past_prices_stay"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="accountprice",
            name="account_price_once",
        ),
        migrations.RemoveConstraint(
            model_name="accountprice",
            name="account_price_one_open",
        ),
        migrations.AddField(
            model_name="accountprice",
            name="message_class",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Empty: every class that has no price of its own.",
                max_length=20,
                verbose_name="class",
            ),
        ),
        migrations.AddField(
            model_name="channelaccount",
            name="bills_failed",
            field=models.BooleanField(
                default=True,
                help_text="What was taken and then reported as failed costs all the same. What was refused never does.",
                verbose_name="bills what is not delivered",
            ),
        ),
        migrations.AddConstraint(
            model_name="accountprice",
            constraint=models.UniqueConstraint(
                fields=("account", "message_class", "valid_from"), name="account_price_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="accountprice",
            constraint=models.UniqueConstraint(
                condition=models.Q(("valid_to__isnull", True)),
                fields=("account", "message_class"),
                name="account_price_one_open",
            ),
        ),
        migrations.RunSQL(KEEP, KEPT),
    ]
